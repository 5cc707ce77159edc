// Drives the playground of a page: its fields, its link, its steps. The rules and the objectives
// come printed from SymPy in the page's Bokeh document; the ranges of the fields come from optimlib.
"use strict";
(function (root) {
  const {walk, short, shown, Figure} = root.SecondMoments;
  const SPEED = 60; // steps a second

  // ------------------------------------------------------------- the state of a race

  // The hyperparameters of every rule: its defaults, with the step sizes of the objective.
  function defaults(spec, objective) {
    const hyper = {};
    for (const [rule, {numbers}] of Object.entries(spec.rules)) {
      hyper[rule] = Object.fromEntries(numbers.map((n) => [n.name, n.value]));
      hyper[rule].lr = spec.objectives[objective].rates[rule];
    }
    return hyper;
  }

  function first(spec) {
    const {objective, rules, steps} = spec.first;
    const start = [...spec.objectives[objective].start];
    return {objective, rules: [...rules], start, noise: 0, seed: 0, steps, at: steps,
      hyper: defaults(spec, objective)};
  }

  // What is wrong with a text in a field, in words; nothing if it may be used.
  function wrong(field, text, whose = "") {
    const who = whose && `${whose}: `;
    if (field.blank && text.trim() === "") return "";
    const value = text.trim() === "" ? NaN : Number(text);
    if (!Number.isFinite(value)) {
      const given = text.trim() === "" ? "is empty" : `${text} is not a number`;
      return `${who}${field.name}${given === "is empty" ? " " : "="}${given}; `
        + `expected ${field.within}.`;
    }
    const above = field.above ? value >= field.low : value > field.low;
    const high = field.high === null ? Infinity : field.high;
    const below = field.below ? value <= high : value < high;
    if (above && below && (!field.whole || Number.isInteger(value))) return "";
    return `${who}${field.name}=${text.trim()} is out of range; expected ${field.within}.`;
  }

  // What is wrong with the hyperparameters of a rule together.
  function together(rule, h) {
    return h.step_min > h.step_max
      ? `${rule}: step_min=${h.step_min} is above step_max=${h.step_max}; swap them.` : "";
  }

  function toHash(spec, state) {
    const parts = [["race", state.objective], ["rules", state.rules.join(",")],
      ["start", state.start.join(",")]];
    for (const key of ["noise", "seed", "steps", "at"]) parts.push([key, state[key]]);
    const usual = defaults(spec, state.objective);
    for (const [rule, h] of Object.entries(state.hyper)) {
      for (const [name, value] of Object.entries(h)) {
        // Step sizes always stand in the link, so that it outlives a change of the tuned ones.
        const named = name === "lr" && state.rules.includes(rule);
        if (named || value !== usual[rule][name]) parts.push([`${rule}.${name}`, value ?? ""]);
      }
    }
    return "#" + parts.map(([key, value]) =>
      `${key}=${encodeURIComponent(value).replace(/%2C/g, ",")}`).join("&");
  }

  const isRace = (hash) => hash.startsWith("#race=");

  // Read a link; an Error says what is wrong with it.
  function fromHash(spec, hash) {
    const given = new Map();
    for (const part of hash.slice(1).split("&")) {
      const [key, ...rest] = part.split("=");
      if (given.has(key)) throw new Error(`${key} stands in it twice.`);
      try {
        given.set(key, decodeURIComponent(rest.join("=")));
      } catch {
        throw new Error(`${part} cannot be decoded.`);
      }
    }
    const take = (key, usual) => {
      const text = given.has(key) ? given.get(key) : String(usual);
      given.delete(key);
      return text;
    };
    const number = (field, text, whose) => {
      const why = wrong(field, text, whose);
      if (why) throw new Error(why);
      return text.trim() === "" ? null : Number(text);
    };
    const known = (kind, name, all) => {
      if (!Object.hasOwn(all, name))
        throw new Error(`no ${kind} is called ${name}; there is ${Object.keys(all).join(", ")}.`);
    };
    const state = first(spec);
    state.objective = take("race");
    known("objective", state.objective, spec.objectives);
    const on = spec.objectives[state.objective];
    state.hyper = defaults(spec, state.objective);
    const rules = take("rules", state.rules).split(",").filter(Boolean);
    for (const rule of rules) known("rule", rule, spec.rules);
    state.rules = Object.keys(spec.rules).filter((rule) => rules.includes(rule));
    const start = take("start", on.start).split(",");
    if (start.length !== 2) throw new Error("start has two numbers, x and y.");
    state.start = [number(on.x, start[0]), number(on.y, start[1])];
    const noise = take("noise", 0);
    state.noise = spec.noises.find((v) => String(v) === noise);
    if (state.noise === undefined)
      throw new Error(`noise=${noise}; expected one of ${spec.noises.join(", ")}.`);
    for (const key of ["seed", "steps"]) state[key] = number(spec[key], take(key, state[key]));
    const ends = {name: "at", low: 0, above: true, high: state.steps, below: true, whole: true,
      within: `a whole number, 0 <= at <= ${state.steps}`};
    state.at = number(ends, take("at", state.steps));
    for (const [key, text] of given) {
      const [rule, name] = key.split(".");
      known("rule", rule, spec.rules);
      const field = spec.rules[rule].numbers.find((n) => n.name === name);
      if (!field) throw new Error(`${rule} has no number ${name}.`);
      state.hyper[rule][name] = number(field, text, rule);
    }
    for (const rule of Object.keys(spec.rules)) {
      const why = together(rule, state.hyper[rule]);
      if (why) throw new Error(why);
    }
    return state;
  }

  // ------------------------------------------------------------- the race itself

  // Run every chosen rule; the result has the path x, the value f and the gap for each.
  function race(functions, spec, state) {
    const on = spec.objectives[state.objective];
    const {gradient, value} = functions.objectives[state.objective];
    const c = {noise: state.noise};
    const of = {steps: state.steps, seed: state.seed, noisy: state.noise > 0, moves: false,
      bounds: null};
    const ran = {};
    for (const rule of state.rules) {
      const h = state.hyper[rule];
      const blank = Object.values(h).includes(null);
      const variants = functions.rules[rule];
      const printed = blank ? variants[0] : variants[variants.length - 1];
      const run = {...printed, eps: h.eps ?? 0, set: () => h, start: () => [...state.start], gradient};
      const {x} = walk(run, of, c);
      const f = x.map((p) => value(c, p)[0]);
      ran[rule] = {x, f, gap: f.map((v) => v - on.floor)};
    }
    return ran;
  }

  const float = (value) => (Number.isInteger(value) && Math.abs(value) < 1e16
    ? `${value}.0` : String(value).replace("e+", "e"));

  // The Python lines that compute the same paths with optimlib.
  function python(spec, state, ran) {
    if (!state.rules.length) return "# No rule is chosen.";
    const on = spec.objectives[state.objective];
    const calls = state.rules.map((rule) => {
      const given = spec.rules[rule].numbers
        .filter((n) => n.name === "lr" || state.hyper[rule][n.name] !== n.value)
        .map((n) => `${n.name}=${float(state.hyper[rule][n.name])}`);
      return `    ${rule}(${given.join(", ")}),`;
    });
    const names = [...state.rules].sort();
    const imported = `from optimlib import ${names.join(", ")}`.length <= 88
      ? [`from optimlib import ${names.join(", ")}`]
      : ["from optimlib import (", ...names.map((name) => `    ${name},`), ")"];
    const [x, y] = state.start.map(float);
    const rules = ["", "rules = [", ...calls, "]"];
    if (state.noise > 0) {
      return [
        ...imported, "from optimlib.explore import Walk",
        `from optimlib.objectives import ${on.python}`, ...rules, "paths = [",
        `    Walk(rule, ${on.python}, start=(${x}, ${y}), steps=${state.steps},`,
        `         noise=${float(state.noise)}, seed=${state.seed}).take().x`,
        "    for rule in rules", "]",
      ].join("\n");
    }
    const finite = Object.values(ran).every((taken) => taken.x.flat().every(Number.isFinite));
    return [
      "import numpy as np", ...imported, `from optimlib.objectives import ${on.python}`, ...rules,
      `start = np.array([${x}, ${y}])`, "paths = [",
      `    rule.run(${on.python}.gradient, start, ${state.steps}`
        + `${finite ? "" : ", check_finite=False"}).path`,
      "    for rule in rules", "]",
    ].join("\n");
  }

  root.SecondMoments.playground = {first, wrong, together, toHash, fromHash, race, python};
  if (typeof document === "undefined") return;

  // ------------------------------------------------------------- the page

  // Of a list that begins with steps, in their order, the part up to one of them.
  function upTo(step, list) {
    const until = list.findIndex(([t]) => t > step);
    return until < 0 ? list : list.slice(0, until);
  }

  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  class Playground extends Figure {
    constructor(element, payload) {
      super(element, payload);
      this.state = first(this.spec);
      this.ran = {};
      this.playing = null;
      this.touched = false;
      this.mapped = null;
    }

    find(selector) {
      return this.element.querySelector(selector);
    }

    all(selector) {
      return [...this.element.querySelectorAll(selector)];
    }

    async wake() {
      await this.embed();
      this.pad = this.find(".explorable-pad");
      this.handle = this.find(".playground-handle");
      this.slider = this.find('[name="at"]');
      this.rows = new Map(this.all("tr[data-rule]").map((row) => [row.dataset.rule, {
        row, cells: [...row.querySelectorAll("td")]}]));
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("reset", (event) => {
        event.preventDefault();
        this.restore(first(this.spec));
        this.commit();
      });
      this.form.addEventListener("input", (event) => this.changed(event.target));
      this.form.addEventListener("click", (event) => {
        const button = event.target.closest("button[data-do]");
        if (button) this.pressed(button);
      });
      this.listen();
      addEventListener("popstate", () => {
        this.touched = true;
        this.read();
        if (this.asked && !still()) this.play();
        this.asked = false;
      });
      document.addEventListener("click", (event) => {
        const link = event.target.closest("a[href]");
        if (!link || !isRace(link.hash) || link.pathname !== location.pathname) return;
        this.asked = link.hash !== location.hash;
        this.element.scrollIntoView();
        if (!this.asked) this.read();
      });
      new ResizeObserver(() => this.resized()).observe(this.pad);
      this.read();
      if (!isRace(location.hash) && !still()) this.playWhenSeen();
    }

    // ----------------------------------------------------------- link

    // Take the state from the address; an anchor of the page itself is none of the playground's.
    read() {
      const hash = location.hash;
      if (hash && !isRace(hash)) return void (this.drawn || this.restore(this.state));
      try {
        this.restore(hash ? fromHash(this.spec, hash) : first(this.spec));
      } catch (error) {
        this.restore(first(this.spec));
        this.say(`The link cannot be read: ${error.message} This is the first race instead.`);
      }
    }

    // Put the state into the address, once the reader has come to rest.
    commit() {
      this.touched = true;
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.write(), 300);
    }

    write() {
      clearTimeout(this.resting);
      const hash = toHash(this.spec, this.state);
      if (hash === location.hash) return;
      const bare = (text) => text.replace(/&at=\d+/, "");
      // Steps of one race are one entry of the history.
      const same = bare(hash) === bare(isRace(location.hash)
        ? location.hash : toHash(this.spec, first(this.spec)));
      history[same ? "replaceState" : "pushState"](null, "", hash);
    }

    // ----------------------------------------------------------- fields

    // Show a state in every field and draw it.
    restore(state) {
      this.pause(false);
      this.state = state;
      const set = (name, value) => {
        const field = this.find(`[name="${name}"]`);
        field.value = value ?? "";
        this.judge(field, "");
      };
      set("objective", state.objective);
      set("x", state.start[0]);
      set("y", state.start[1]);
      set("seed", state.seed);
      set("steps", state.steps);
      this.find('[name="noise"]').value = this.spec.noises.indexOf(state.noise);
      for (const box of this.all('[name="rule"]')) box.checked = state.rules.includes(box.value);
      for (const [rule, h] of Object.entries(state.hyper))
        for (const [name, value] of Object.entries(h)) set(`${rule}.${name}`, value);
      this.rerun();
      this.redraw();
      this.say(this.standing());
    }

    // Show what is wrong with a field, or that nothing is.
    judge(field, why) {
      const place = document.getElementById(`${field.id}-wrong`);
      if (!place) return;
      place.textContent = why;
      if (why) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }

    // A number field was changed: use it if it is right, say why not if it is not.
    number(field, range, whose, use) {
      const text = field.validity.badInput ? "what is typed" : field.value;
      const why = wrong(range, text, whose);
      this.judge(field, why);
      if (!why) use(text.trim() === "" ? null : Number(text));
      return !why;
    }

    changed(field) {
      const {state, spec} = this;
      const on = spec.objectives[state.objective];
      const [rule, name] = field.name.split(".");
      if (field.name === "at") {
        this.pause(false);
        state.at = Number(field.value);
        this.moved();
        return this.rest();
      }
      if (field.name === "objective") {
        return this.choose(field.value);
      } else if (field.name === "rule") {
        state.rules = this.all('[name="rule"]').filter((b) => b.checked).map((b) => b.value);
      } else if (field.name === "noise") {
        state.noise = spec.noises[Number(field.value)];
      } else if (field.name === "x" || field.name === "y") {
        const axis = field.name === "x" ? 0 : 1;
        if (!this.number(field, on[field.name], "", (v) => { state.start[axis] = v; })) return;
      } else if (field.name === "seed") {
        if (!this.number(field, spec.seed, "", (v) => { state.seed = v; })) return;
      } else if (field.name === "steps") {
        const ended = state.at === state.steps;
        if (!this.number(field, spec.steps, "", (v) => { state.steps = v; })) return;
        state.at = ended ? state.steps : Math.min(state.at, state.steps);
      } else if (name) {
        const range = spec.rules[rule].numbers.find((n) => n.name === name);
        const before = state.hyper[rule][name];
        const h = state.hyper[rule];
        if (!this.number(field, range, rule, (v) => { h[name] = v; })) return;
        const why = together(rule, h);
        if (why) {
          h[name] = before;
          this.judge(field, why);
          return;
        }
        this.agree(rule);
      } else {
        return;
      }
      this.rerun();
      this.moved();
      this.rest();
    }

    // A number that was refused because of another one may be right by now.
    agree(rule) {
      for (const n of this.spec.rules[rule].numbers) {
        const field = this.find(`[name="${rule}.${n.name}"]`);
        if (!field.hasAttribute("aria-invalid")) continue;
        const h = this.state.hyper[rule];
        if (wrong(n, field.value, rule)) continue;
        const tried = {...h, [n.name]: field.value === "" ? null : Number(field.value)};
        if (together(rule, tried)) continue;
        h[n.name] = tried[n.name];
        this.judge(field, "");
      }
    }

    // Another objective brings its start and its step sizes; all other numbers stay.
    choose(name) {
      const {state, spec} = this;
      const fresh = defaults(spec, name);
      const hyper = Object.fromEntries(Object.entries(state.hyper).map(([rule, h]) =>
        [rule, {...h, lr: fresh[rule].lr}]));
      this.restoreKeepingPlay({...state, objective: name, start: [...spec.objectives[name].start],
        hyper});
      this.commit();
    }

    restoreKeepingPlay(state) {
      const playing = this.playing !== null;
      this.restore(state);
      if (playing) this.play();
    }

    // The reader has changed something: the address follows, and the voice.
    rest() {
      this.commit();
      clearTimeout(this.silence);
      if (this.playing === null) {
        this.silence = setTimeout(() => this.say(this.standing()), 300);
      }
    }

    // ----------------------------------------------------------- buttons

    pressed(button) {
      const does = button.dataset.do;
      if (does === "play") return this.playing === null ? this.play() : this.pause();
      if (does === "first" || does === "step") {
        this.pause(false);
        const {at, steps} = this.state;
        this.state.at = does === "first" ? 0 : Math.min(at + 1, steps);
        this.redraw();
        this.say(this.standing());
        return this.commit();
      }
      if (does === "all" || does === "none") {
        for (const box of this.all('[name="rule"]')) box.checked = does === "all";
        return this.changed(this.find('[name="rule"]'));
      }
      if (does === "link") {
        this.write();
        return this.copy(location.href, "The link is copied.",
          "The browser does not let pages copy; the address of this page is the link.");
      }
      if (does === "python") {
        const place = this.find(".playground-python");
        place.hidden = !place.hidden;
        button.setAttribute("aria-expanded", String(!place.hidden));
        button.textContent = place.hidden ? "Show Python" : "Hide Python";
        return this.print();
      }
      return this.copy(this.find(".playground-python code").textContent, "The code is copied.",
        "The browser does not let pages copy; select the code instead.");
    }

    async copy(text, done, failed) {
      try {
        await navigator.clipboard.writeText(text);
        this.say(done);
      } catch {
        this.say(failed);
      }
    }

    print() {
      if (this.find(".playground-python").hidden) return;
      this.find(".playground-python code").textContent = python(this.spec, this.state, this.ran);
    }

    // ----------------------------------------------------------- steps

    play() {
      const {state} = this;
      if (state.at >= state.steps) state.at = 0;
      clearTimeout(this.silence);
      this.said("");
      let from = null, begun = state.at;
      const button = this.find('[data-do="play"]');
      button.textContent = "Pause";
      const frame = (now) => {
        if (from === null) [from, begun] = [now, state.at];
        const at = Math.min(begun + Math.floor((now - from) * SPEED / 1000), this.state.steps);
        if (at !== this.state.at) {
          this.state.at = at;
          this.redraw();
        }
        if (at >= this.state.steps) return this.pause();
        this.playing = requestAnimationFrame(frame);
      };
      this.redraw();
      this.playing = requestAnimationFrame(frame);
    }

    pause(aloud = true) {
      if (this.playing === null) return;
      cancelAnimationFrame(this.playing);
      this.playing = null;
      this.find('[data-do="play"]').textContent = "Play";
      if (!aloud) return;
      this.say(this.standing());
      if (this.touched) this.commit();
    }

    // The race runs once when it comes into sight, unless the reader was faster.
    playWhenSeen() {
      const watcher = new IntersectionObserver(([entry]) => {
        if (!entry.isIntersecting) return;
        watcher.disconnect();
        if (!this.touched) this.play();
      }, {threshold: 0.5});
      watcher.observe(this.pad);
    }

    // ----------------------------------------------------------- what is said

    said(text) {
      this.readout.textContent = text;
    }

    say(text) {
      clearTimeout(this.silence);
      this.said(text);
    }

    standing() {
      const {state} = this;
      const point = `(${state.start.map(short).join(", ")})`;
      if (!state.rules.length) return `No rule is chosen. The start is ${point}.`;
      const values = state.rules.map((rule) => [this.ran[rule].f[state.at], rule])
        .filter(([f]) => Number.isFinite(f)).sort(([a], [b]) => a - b);
      const ahead = values.length
        ? `${values[0][1]} has the lowest f, ${short(values[0][0])}.` : "Every rule has diverged.";
      return `From ${point}, step ${state.at} of ${state.steps}: ${ahead}`;
    }

    // ----------------------------------------------------------- drawing

    // Run the race anew, and fit to it what does not depend on the step.
    rerun() {
      const {state, spec} = this;
      const on = spec.objectives[state.objective];
      this.ran = race(this.functions, spec, state);
      this.drawn = true;
      const [map, losses] = this.plots;
      if (this.mapped !== state.objective) {
        ["x_range", "y_range"].forEach((range, i) =>
          map[range].setv({start: on.view[i][0], end: on.view[i][1]}));
        this.source(0, "stars").data = {
          x: on.minimisers.map((p) => p[0]), y: on.minimisers.map((p) => p[1])};
        this.find(".playground-formula").textContent = `f(x, y) = ${on.text}`;
      }
      this.paint();
      this.source(0, "spot").data = {x: [state.start[0]], y: [state.start[1]]};
      losses.x_range.setv({start: 0, end: 1.03 * state.steps});
      const [least, most] = spec.losses;
      const drawn = Object.values(this.ran).map(({gap}) => ({
        x: [], y: gap.map((v) => (v >= least && v <= most ? v : NaN))}));
      this.fit({x: true, log: "y"}, losses, drawn);
      this.slider.max = state.steps;
      this.find('[name="seed"]').disabled = state.noise === 0;
      const noise = this.find('[name="noise"]');
      noise.setAttribute("aria-valuetext", state.noise);
      noise.nextElementSibling.textContent = state.noise;
      for (const part of this.all("[data-rule]"))
        part.hidden = !state.rules.includes(part.dataset.rule);
      for (const [rule, {cells}] of this.rows)
        cells[0].textContent = short(state.hyper[rule].lr);
      this.see();
      this.hold();
      this.print();
    }

    // What can be seen of the paths, which is less than all of them where steps are small: of each
    // the points that leave the pixel of the point before, and the dots that no other one hides,
    // of all rules in the order of their steps.
    see() {
      const {spec, ran} = this;
      const {x_scale, y_scale, bbox} = this.viewOf[0].frame;
      this.lines = {};
      this.dots = [];
      for (const [rule, {x}] of Object.entries(ran)) {
        const line = [], seen = new Set();
        let before = null;
        x.forEach((point, t) => {
          const [u, v] = [x_scale.compute(point[0]), y_scale.compute(point[1])];
          const pixel = `${Math.round(u)} ${Math.round(v)}`;
          if (pixel !== before) line.push([t, shown(point[0]), shown(point[1])]);
          before = pixel;
          if (seen.has(pixel) || !bbox.contains(u, v)) return;
          seen.add(pixel);
          this.dots.push([t, ...point, spec.rules[rule].colour]);
        });
        this.lines[rule] = line;
      }
      this.dots.sort(([s], [t]) => s - t);
    }

    // Colour the map: a cell for each pixel, so that lines stay whole.
    paint() {
      const {state, spec} = this;
      const {width, height} = this.viewOf[0].frame.bbox;
      const grid = [width, height].map((v) => Math.min(Math.max(Math.round(v), 100), 600));
      const size = grid.join();
      if (this.mapped === state.objective && this.painted === size) return;
      this.mapped = state.objective;
      this.painted = size;
      this.level({...spec.objectives[state.objective], grid}, this.source(0, "image"),
        this.functions.objectives[state.objective].value, {});
    }

    source(i, name) {
      return this.plots[i].renderers.map((r) => r.data_source).find((s) => s.name === name);
    }

    // Draw everything up to the step shown.
    redraw() {
      const {state, spec, ran} = this;
      const end = state.at + 1;
      const [least, most] = spec.losses;
      const heads = [{x: [], y: [], colour: []}, {x: [], y: [], colour: []}];
      this.sourceOf ??= Object.fromEntries(Object.keys(spec.rules).map((rule) =>
        [rule, [this.source(0, `walk:${rule}`), this.source(1, `curve:${rule}`)]]));
      for (const [rule, sources] of Object.entries(this.sourceOf)) {
        const taken = ran[rule];
        if (!taken) {
          for (const s of sources) if (s.data.x.length) s.data = {x: [], y: []};
          continue;
        }
        const path = upTo(state.at, this.lines[rule]);
        const loss = taken.gap.slice(0, end).map((v) => (v >= least && v <= most ? v : NaN));
        sources[0].data = {x: path.map((p) => p[1]), y: path.map((p) => p[2])};
        sources[1].data = {x: loss.map((_, t) => t), y: loss};
        const last = taken.x[state.at];
        [[last[0], last[1]], [state.at, loss[state.at]]].forEach(([x, y], i) => {
          heads[i].x.push(shown(x));
          heads[i].y.push(shown(y));
          heads[i].colour.push(spec.rules[rule].colour);
        });
        const {cells} = this.rows.get(rule);
        cells[1].textContent = short(taken.f[state.at]);
        cells[2].textContent = `(${short(last[0])}, ${short(last[1])})`;
      }
      const dots = upTo(state.at, this.dots);
      this.source(0, "dots").data = {
        x: dots.map((d) => d[1]), y: dots.map((d) => d[2]), colour: dots.map((d) => d[3])};
      heads.forEach((data, i) => { this.source(i, "heads").data = data; });
      const text = `${state.at} of ${state.steps}`;
      this.slider.value = state.at;
      this.slider.setAttribute("aria-valuetext", text);
      this.slider.nextElementSibling.textContent = text;
    }

    // The plot takes its new size a moment after its place has.
    resized() {
      requestAnimationFrame(() => setTimeout(() => {
        this.paint();
        this.hold();
        this.see();
        this.redraw();
      }, 50));
    }

    // Keep the handle on the start, where the plot has drawn it.
    hold() {
      const view = this.viewOf[0];
      if (!view || !view.frame) return;
      const {x_scale, y_scale} = view.frame;
      this.handle.style.left = `${x_scale.compute(this.state.start[0])}px`;
      this.handle.style.top = `${y_scale.compute(this.state.start[1])}px`;
    }

    // Put the start somewhere on the map.
    begin(point) {
      const on = this.spec.objectives[this.state.objective];
      this.state.start = point.map((v, i) => {
        const [low, high] = on.view[i];
        const digits = 1e4;
        return Math.min(Math.max(Math.round(v * digits) / digits, low), high);
      });
      ["x", "y"].forEach((name, i) => {
        const field = this.find(`[name="${name}"]`);
        field.value = this.state.start[i];
        this.judge(field, "");
      });
      this.rerun();
      this.moved();
      this.rest();
    }

    listen() {
      const {pad} = this;
      const on = () => this.spec.objectives[this.state.objective];
      const at = (event) => {
        const view = this.viewOf[0], box = view.el.getBoundingClientRect();
        const point = [view.frame.x_scale.invert(event.clientX - box.left),
          view.frame.y_scale.invert(event.clientY - box.top)];
        // A pointer is no finer than a tenth of an arrow key.
        this.begin(point.map((v, i) => {
          const grain = on().nudge[i] / 10;
          return Math.round(v / grain) * grain;
        }));
      };
      pad.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        pad.setPointerCapture(event.pointerId);
        // A finger that scrolls the page over the map leaves the start where it is.
        this.pressedAt = event.pointerType === "touch" && event.target === pad ? event : null;
        if (!this.pressedAt) at(event);
      });
      pad.addEventListener("pointermove", (event) => {
        if (pad.hasPointerCapture(event.pointerId) && !this.pressedAt) at(event);
      });
      pad.addEventListener("pointerup", (event) => {
        if (this.pressedAt) at(event);
        this.pressedAt = null;
      });
      pad.addEventListener("pointercancel", () => { this.pressedAt = null; });
      pad.addEventListener("keydown", (event) => {
        const step = event.shiftKey ? 10 : 1;
        const move = {
          ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowDown: [0, -step], ArrowUp: [0, step],
        }[event.key];
        if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        this.begin(this.state.start.map((v, i) => v + move[i] * on().nudge[i]));
      });
    }
  }

  function wake() {
    for (const element of document.querySelectorAll("figure.playground")) {
      const data = element.querySelector("script.playground-data");
      const figure = new Playground(element, JSON.parse(data.textContent));
      root.SecondMoments.figures.set(element, figure);
      figure.wake();
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", wake);
  else wake();
})(typeof window === "undefined" ? globalThis : window);
