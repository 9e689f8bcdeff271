"use strict";
(() => {
  const root = document.documentElement;
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const figures = [...document.querySelectorAll("script[data-figure]")].map(script => ({
    element: document.getElementById(script.dataset.figure),
    figure: JSON.parse(script.textContent),
  }));

  // -- colours ------------------------------------------------------------------------------------

  // Only what stands under these names is a colour: texts come from whoever named a table.
  const COLOURS = new Set(["color", "bgcolor", "bordercolor", "gridcolor", "linecolor", "fgcolor",
    "zerolinecolor", "paper_bgcolor", "plot_bgcolor", "colorscale"]);

  const coloured = (value, styles, isColour) => {
    if (Array.isArray(value)) return value.map(item => coloured(item, styles, isColour));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(
        ([key, item]) => [key, coloured(item, styles, COLOURS.has(key))]));
    }
    return isColour && typeof value === "string" && value.startsWith("@")
      ? styles.getPropertyValue("--" + value.slice(1)).trim() : value;
  };

  const CONFIG = {
    responsive: true,
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  };

  const draw = ({ element, figure }) => {
    const { data, layout } = coloured(figure, getComputedStyle(root), false);
    // What a reader has zoomed into stays so.
    layout.uirevision = "same";
    return Plotly.react(element, data, layout, CONFIG);
  };

  // Tests and screenshots wait for the theme that is drawn.
  const drawAll = async () => {
    const theme = root.dataset.theme;
    await Promise.all(figures.map(draw));
    root.dataset.drawn = theme;
  };

  // -- dark and light -----------------------------------------------------------------------------

  const button = document.getElementById("theme");
  let chosen = null;

  const isDark = () => chosen === null ? prefersDark.matches : chosen === "dark";

  const show = () => {
    root.dataset.theme = isDark() ? "dark" : "light";
    button.setAttribute("aria-pressed", String(isDark()));
    return drawAll();
  };

  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    show();
  });
  prefersDark.addEventListener("change", show);

  // On paper everything is dark on white.
  window.addEventListener("beforeprint", () => {
    root.dataset.theme = "light";
    drawAll();
    for (const { element } of figures) Plotly.Plots.resize(element);
  });
  window.addEventListener("afterprint", show);

  // -- the command line ---------------------------------------------------------------------------

  const copy = document.getElementById("copy");
  if (copy) {
    const command = document.getElementById("command");
    const said = document.getElementById("copied");
    const selected = () => {
      const range = document.createRange();
      range.selectNodeContents(command);
      const selection = window.getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    };
    copy.addEventListener("click", async () => {
      // Selected first: who is refused the clipboard has only to press the keys.
      selected();
      let copied = false;
      try {
        await navigator.clipboard.writeText(command.textContent);
        copied = true;
      } catch {
        copied = document.execCommand("copy");
      }
      copy.textContent = copied ? "Copied" : "Press Ctrl+C";
      said.textContent = copied ? "Copied." : "Selected: press Ctrl+C to copy.";
    });
  }

  // -- closer looks at a long chart ---------------------------------------------------------------

  for (const select of document.querySelectorAll("select[data-chart]")) {
    const chart = document.getElementById(select.dataset.chart);
    const look = () => Plotly.relayout(chart, JSON.parse(select.value));
    select.addEventListener("change", look);
    for (const step of select.parentElement.querySelectorAll("button.step")) {
      step.addEventListener("click", () => {
        const next = select.selectedIndex + Number(step.dataset.step);
        select.selectedIndex = (next + select.length) % select.length;
        look();
      });
    }
  }

  // -- tables -------------------------------------------------------------------------------------

  const ordering = new Intl.Collator("en", { numeric: true });

  for (const sort of document.querySelectorAll("button.sort")) {
    sort.addEventListener("click", () => {
      const head = sort.closest("th");
      const place = head.cellIndex;
      const body = head.closest("table").tBodies[0];
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = row => row.cells[place].dataset.order;
      const numbers = head.classList.contains("n");
      // A note stays below its row.
      const below = new Map([...body.querySelectorAll("tr.note")].map(
        note => [note.previousElementSibling, note]));
      const rows = [...body.querySelectorAll("tr:not(.note)")].sort((a, b) => numbers
        ? Number(key(a)) - Number(key(b)) : ordering.compare(key(a), key(b)));
      if (descending) rows.reverse();
      body.append(...rows.flatMap(row => below.has(row) ? [row, below.get(row)] : [row]));
    });
  }

  show();
})();
