"use strict";
const PAPER_WIDTH = 680;
const plots = [];
for (const source of document.querySelectorAll('script[type="application/json"]')) {
  const {data, layout} = JSON.parse(source.textContent);
  const plot = document.getElementById(source.dataset.plot);
  plot.textContent = "";
  Plotly.newPlot(plot, data, layout, {displayModeBar: false, responsive: true});
  plots.push(plot);
}
window.addEventListener("beforeprint", () => {
  for (const plot of plots) Plotly.relayout(plot, {width: PAPER_WIDTH});
});
window.addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, {width: null, autosize: true});
});

function sortable(table) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => row.cells[column].textContent.trim();
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      const rows = [...body.rows].sort((first, second) => {
        const [a, b] = [key(first, column), key(second, column)];
        const difference = parseFloat(a) - parseFloat(b);
        return direction * (Number.isFinite(difference) ? difference : a.localeCompare(b));
      });
      body.append(...rows);
    });
  });
}
document.querySelectorAll("table.sortable").forEach(sortable);
