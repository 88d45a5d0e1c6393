// Sorts a table by the column whose heading is clicked; a second click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => heading.querySelector("button").addEventListener("click", () => {
    const rising = heading.getAttribute("aria-sort") === "descending";
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent.trim();
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return numbers ? x - y : x === "" || y === "" ? (x === "") - (y === "") : x.localeCompare(y);
    };
    const rows = [...table.tBodies[0].rows].sort((a, b) => (rising ? compare(a, b) : compare(b, a)));
    table.tBodies[0].append(...rows);
  }));
}
