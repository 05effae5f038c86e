// Choosing a forecaster brings its lines and intervals forward in every chart. Without scripts the best one stands out.
for (const button of document.querySelectorAll(".chips button")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll(".chips button")) {
      other.setAttribute("aria-pressed", String(other.dataset.m === button.dataset.m));
    }
    for (const mark of document.querySelectorAll(".m")) {
      mark.classList.toggle("on", mark.classList.contains("m" + button.dataset.m));
    }
  });
}
