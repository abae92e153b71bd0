// Draws each chart from the JSON beside it, in the page's own colours and at the page's own width.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const touch = matchMedia("(pointer: coarse)").matches;
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

  class Chart {
    constructor(figure) {
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
      dark.addEventListener("change", () => this.draw());
      this.fit();
    }

    fit() {
      const width = Math.floor(this.plot.getBoundingClientRect().width);
      if (!width || width === this.width) return; // hidden, or as it was
      this.width = width;
      this.draw();
    }

    draw() {
      if (!this.width) return;
      const styles = getComputedStyle(document.documentElement);
      const { data, layout } = coloured(this.views[this.view], styles);
      const height = this.height || Math.min(this.width, 460);
      this.plot.style.height = `${height}px`;
      Object.assign(layout, { width: this.width, height });
      layout.font.family = getComputedStyle(document.body).fontFamily;
      spaced(layout.xaxis, this.width * 0.85);
      spaced(layout.yaxis, height * 0.85);
      if (touch) layout.dragmode = false; // a finger scrolls the page
      if (this.logs) layout.yaxis.type = this.log ? "log" : "linear";
      if (layout.yaxis.type === "log") layout.yaxis.dtick = layout.yaxis.logdtick;
      delete layout.yaxis.logdtick;
      for (const i of this.hidden) data[i].visible = false;
      for (const trace of data) // numbers that small could not be read: crosses alone
        if (trace.texttemplate && (this.width - 150) / trace.z[0].length < 48)
          trace.text = trace.text.map(row => row.map(text => (text === "×" ? text : "")));
      Plotly.react(this.plot, data, layout, config).then(() => this.plot.classList.add("drawn"));
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

  for (const figure of document.querySelectorAll("figure.chart")) new Chart(figure);

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
        const order = x < y ? -1 : x > y ? 1 : 0;
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
