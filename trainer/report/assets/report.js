// Draws each chart from the JSON beside it, in the page's own colours and at the page's own width.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
  const print = matchMedia("print");
  const paper = { on: false, wide: 690, narrow: 330 }; // widths of a chart on A4 and Letter
  const config = { displayModeBar: false, responsive: false, scrollZoom: false, showTips: false };

  // "var(--blue)/0.3" -> "rgba(0,114,178,0.3)", in every string of a chart
  function coloured(value, styles) {
    if (typeof value === "string") {
      const named = /^var\((--[a-z]+)\)(?:\/([\d.]+))?$/.exec(value);
      if (!named) return value;
      const hex = parseInt(styles.getPropertyValue(named[1]).trim().slice(1), 16);
      return `rgba(${hex >> 16},${(hex >> 8) & 255},${hex & 255},${named[2] || 1})`;
    }
    if (Array.isArray(value)) return value.map(item => coloured(item, styles));
    if (value && typeof value === "object")
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, coloured(item, styles)])
      );
    return value;
  }

  // Of named ticks every second, every third, ... where there is no room for all
  function spaced(axis, pixels) {
    if (!axis || !axis.ticktext) return;
    const every = Math.ceil((axis.ticktext.length * 14) / pixels);
    for (const key of ["tickvals", "ticktext"])
      axis[key] = axis[key].filter((_, i) => i % every === 0);
  }

  // Ticks of a log axis from 10^low to 10^high such that two or more have their label: powers of
  // ten, or 1, 2, 5 of each, or even steps, with no more digits than tell them apart
  function logTicks([low, high]) {
    const decades = Math.abs(high - low);
    if (decades > 4) // 10⁻⁶; plotly.js draws such labels a quarter larger
      return { dtick: Math.ceil(decades / 6), tickformat: "", exponentformat: "power",
        tickfont: { size: 9.6 } };
    if (decades >= 2.5) return { dtick: 1 };
    if (decades >= 1) return { dtick: "D2" };
    const step = Math.abs(10 ** high - 10 ** low) / 2.5;
    const power = 10 ** Math.floor(Math.log10(step));
    const nice = [5, 2, 1].find(n => n * power <= step) * power;
    return decades < 1e-3 ? { dtick: `L${nice}`, tickformat: "" } : { dtick: `L${nice}` };
  }

  // [lowest, highest] of what a y axis must show: of all curves in sight, but for those set apart
  // because they ran away; null if there is nothing. On a log axis of what is above 0.
  function extent(data, log) {
    const shown = data.filter(trace => trace.visible !== false && !trace.yaxis && !trace.apart);
    let [low, high] = [Infinity, -Infinity];
    const take = value => {
      if (typeof value !== "number" || (log && value <= 0)) return;
      if (value < low) low = value;
      if (value > high) high = value;
    };
    for (const { y, error_y } of shown)
      for (const [i, value] of (y || []).entries()) {
        take(value);
        if (!error_y || typeof value !== "number") continue;
        take(value + error_y.array[i]);
        take(value - (error_y.arrayminus || error_y.array)[i]);
      }
    return low <= high ? [low, high] : null;
  }

  // The y axis of a chart in the scale that the reader wants: its range and its ticks
  function fitScale(axis, data, log) {
    const was = axis.type === "log";
    if (axis.range && was !== log) // as written it is of the other scale
      axis.range = log && !(axis.range[0] > 0) ? null
        : axis.range.map(end => (log ? Math.log10(end) : 10 ** end));
    axis.type = log ? "log" : "linear";
    if (!axis.range && (log || data.some(trace => trace.apart))) {
      const found = extent(data, log);
      if (found) {
        const [low, high] = log ? found.map(Math.log10) : found;
        const room = 0.05 * (high - low) || (log ? 0.15 : 0.05 * Math.abs(high) || 1);
        axis.range = [low - room, high + room];
      }
    }
    if (!axis.range) delete axis.range;
    if (log && axis.range) Object.assign(axis, logTicks(axis.range));
  }

  class Chart {
    constructor(figure) {
      this.wide = figure.classList.contains("wide");
      this.plot = figure.querySelector(".plot > div");
      this.note = figure.querySelector(".view-note");
      const { views, height } = JSON.parse(figure.querySelector("script").textContent);
      this.views = views;
      this.height = height;
      this.view = 0;
      this.width = 0;
      this.logs = figure.querySelector(".scale");
      this.log = this.logs && this.logs.getAttribute("aria-pressed") === "true";
      this.hidden = new Set();
      const choice = figure.querySelector("select");
      if (choice) choice.addEventListener("change", () => this.show(choice.selectedIndex));
      if (this.logs) this.logs.addEventListener("click", () => this.switchScale());
      for (const button of figure.querySelectorAll(".legend button"))
        button.addEventListener("click", () => this.toggle(button));
      new ResizeObserver(() => requestAnimationFrame(() => this.fit())).observe(this.plot);
      this.fit();
    }

    fit() {
      const width = Math.floor(this.plot.getBoundingClientRect().width);
      if (paper.on || !width || width === this.width) return; // hidden, or as it was
      this.width = width;
      this.draw();
    }

    draw() {
      const width = !paper.on ? this.width : this.wide ? paper.wide : paper.narrow;
      if (!width) return;
      const styles = getComputedStyle(document.documentElement);
      const { data, layout } = coloured(this.views[this.view], styles);
      const height = this.height || Math.min(width, 460);
      this.plot.style.height = `${height}px`;
      this.plot.style.setProperty("--shape", `${width} / ${height}`);
      Object.assign(layout, { width, height });
      layout.font.family = getComputedStyle(document.body).fontFamily;
      spaced(layout.xaxis, width * 0.85);
      spaced(layout.yaxis, height * 0.85);
      if (touch) layout.dragmode = false; // a finger scrolls the page
      for (const i of this.hidden) data[i].visible = false;
      if (["linear", "log"].includes(layout.yaxis.type))
        fitScale(layout.yaxis, data, this.logs ? this.log : layout.yaxis.type === "log");
      for (const trace of data) // numbers that small could not be read: crosses alone
        if (trace.texttemplate && (width - 150) / trace.z[0].length < 48)
          trace.text = trace.text.map(row => row.map(text => (text === "×" ? text : "")));
      Plotly.react(this.plot, data, layout, config).then(() => this.drawn());
    }

    drawn() {
      const { width, height } = this.plot._fullLayout;
      for (const svg of this.plot.querySelectorAll(".main-svg")) // so that it can be scaled
        svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      if (!this.plot.classList.contains("drawn"))
        this.plot.on("plotly_relayout", () => this.zoomed());
      this.plot.classList.add("drawn");
    }

    zoomed() {
      const axis = this.plot._fullLayout.yaxis;
      if (axis.type !== "log") return;
      const { dtick, ...rest } = logTicks(axis.range);
      if (dtick === axis.dtick) return;
      const change = { "yaxis.dtick": dtick };
      for (const [key, value] of Object.entries(rest)) change[`yaxis.${key}`] = value;
      Plotly.relayout(this.plot, change);
    }

    show(view) {
      this.view = view;
      this.note.textContent = this.views[view].note;
      this.draw();
    }

    switchScale() {
      this.log = !this.log;
      this.logs.setAttribute("aria-pressed", this.log);
      this.draw();
    }

    toggle(button) {
      const on = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", on);
      for (const i of button.dataset.traces.split(" ").map(Number))
        on ? this.hidden.delete(i) : this.hidden.add(i);
      this.draw();
    }
  }

  const charts = [...document.querySelectorAll("figure.chart")].map(figure => new Chart(figure));
  const redraw = () => charts.forEach(chart => chart.draw());
  dark.addEventListener("change", redraw);

  // Paper is light and nothing is folded on it; a chart is drawn anew for its width
  function printing(on) {
    if (on === paper.on) return;
    paper.on = on;
    document.documentElement.classList.toggle("paper", on);
    for (const folded of document.querySelectorAll(on ? "details:not([open])" : "details.unfolded")) {
      folded.classList.toggle("unfolded", on);
      folded.open = on;
    }
    redraw();
  }
  addEventListener("beforeprint", () => printing(true));
  addEventListener("afterprint", () => printing(false));
  print.addEventListener("change", () => printing(print.matches));

  // Shades at the edges behind which a table goes on
  for (const box of document.querySelectorAll(".scroll")) {
    const shade = () => {
      const hidden = box.scrollWidth - box.clientWidth - box.scrollLeft;
      box.parentElement.classList.toggle("left", box.scrollLeft > 1);
      box.parentElement.classList.toggle("right", hidden > 1);
    };
    box.addEventListener("scroll", shade, { passive: true });
    const size = new ResizeObserver(shade);
    for (const element of [box, box.firstElementChild]) size.observe(element);
  }

  // The rows of a table that is sorted, filtered and shown a few rows at a time
  class Trials {
    constructor(card) {
      const { rows, numbers, names, reasons, best } =
        JSON.parse(card.querySelector("script").textContent);
      Object.assign(this, { rows, numbers, names, best, by: 0, down: false, most: 25 });
      this.reasons = new Map(rows.map((row, i) => [row, reasons[i]]));
      this.heads = [...card.querySelectorAll("th")];
      this.body = card.querySelector("tbody");
      this.search = card.querySelector("input");
      this.shown = card.querySelector(".shown");
      this.more = card.querySelector(".more");
      for (const [i, head] of this.heads.entries())
        head.querySelector("button").addEventListener("click", () => this.sort(i));
      this.search.addEventListener("input", () => this.draw(25));
      this.more.querySelector("button").addEventListener("click", () => this.draw(this.most + 200));
      this.draw(25);
    }

    sort(i) {
      this.down = i === this.by && !this.down;
      this.by = i;
      for (const [j, head] of this.heads.entries())
        head.setAttribute("aria-sort", j !== i ? "none" : this.down ? "descending" : "ascending");
      this.draw(this.most);
    }

    // "lr>0.1" compares a column, any other word must occur in the row
    tests() {
      return this.search.value.toLowerCase().split(/\s+/).filter(Boolean).map(word => {
        const found = /^(.+?)(<=|>=|<|>|=)(.+)$/.exec(word);
        const i = found ? this.names.findIndex(names => names.includes(found[1])) : -1;
        if (i < 0) return row => row.some(cell => String(cell).toLowerCase().includes(word));
        const [, , sign, text] = found;
        const right = this.numbers[i] ? Number(text) : text;
        return row => {
          const left = this.numbers[i] ? row[i] : String(row[i]).toLowerCase();
          if (left === null) return false;
          if (sign === "=") return left === right;
          return sign[0] === "<" ? left < right || (sign[1] && left === right)
            : left > right || (sign[1] && left === right);
        };
      });
    }

    draw(most) {
      this.most = most;
      const tests = this.tests();
      const { by, down } = this;
      const found = this.rows.filter(row => tests.every(test => test(row)));
      found.sort((a, b) => {
        const [x, y] = [a[by], b[by]];
        if (x === null || y === null) return (x === null) - (y === null); // the empty ones last
        const order = typeof x === "string" && typeof y === "string"
          ? x.localeCompare(y, "en", { numeric: true }) : x < y ? -1 : x > y ? 1 : 0;
        return down ? -order : order;
      });
      this.body.replaceChildren(...found.slice(0, most).map(row => this.line(row)));
      const [shown, all] = [Math.min(most, found.length), found.length];
      const matching = all < this.rows.length ? ` that match, of ${this.rows.length}` : "";
      this.shown.textContent = `${shown} of ${all}${matching} shown.`;
      this.more.hidden = found.length <= most;
    }

    text(cell) {
      if (typeof cell !== "number") return cell === null ? "–" : String(cell);
      const small = cell && Math.abs(cell) < 1e-3;
      return small ? String(Number(cell.toPrecision(4)).toExponential()) : String(cell);
    }

    line(row) {
      const line = document.createElement("tr");
      if (row[1] === this.best) line.className = "best";
      line.title = this.reasons.get(row);
      for (const [i, cell] of row.entries()) {
        const box = document.createElement(i ? "td" : "th");
        if (!i) box.scope = "row";
        if (typeof cell === "number") box.className = "number";  // 1e-9 does not break at its sign
        box.textContent = this.text(cell);
        line.append(box);
      }
      return line;
    }
  }

  for (const card of document.querySelectorAll(".trials")) new Trials(card);

  for (const tabs of document.querySelectorAll(".tabs")) {
    const buttons = [...tabs.querySelectorAll("button")];
    const choose = chosen => {
      for (const button of buttons) {
        button.setAttribute("aria-selected", button === chosen);
        button.tabIndex = button === chosen ? 0 : -1;
        document.getElementById(button.getAttribute("aria-controls")).hidden = button !== chosen;
      }
    };
    for (const [i, button] of buttons.entries()) {
      button.addEventListener("click", () => choose(button));
      button.addEventListener("keydown", event => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = buttons[(i + step + buttons.length) % buttons.length];
        choose(next);
        next.focus();
      });
    }
  }
})();
