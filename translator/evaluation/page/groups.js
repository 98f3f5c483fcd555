// Bars of every system for groups of sentences or words.

function groupTable(title, groups) {
  const table = make("table", { className: "groups" });
  table.append(
    make("thead", {}, make("tr", {}, make("th", { scope: "col", text: title[0] }), make("th", { scope: "col", className: "number", text: title[1] }), make("th", { scope: "col", text: title[2] })))
  );
  const largest = Math.max(1, ...groups.flatMap((group) => group.values));
  const body = make("tbody");
  for (const group of groups) {
    const bars = make("td", { className: "bars-of-group" });
    group.values.forEach((value, index) => {
      const bar = make("div", { className: `value-bar ${colourOf(index)}` });
      bar.style.width = `${(100 * value) / largest}%`;
      bars.append(
        make("div", { className: "bar-row" }, make("span", { className: "bar-name" }, nameOf(index)), make("div", { className: "track" }, bar), make("span", { className: "number", text: value.toFixed(1) }))
      );
    });
    body.append(
      make("tr", {}, make("th", { scope: "row", text: group.label }), make("td", { className: "number size", text: count(group.size), "data-unit": ` ${title[1].toLowerCase()}` }), bars)
    );
  }
  table.append(body);
  return table;
}

function buildGroups() {
  const metrics = Object.keys(data.lengths[0].scores[0]);
  const showLengths = (metric) => {
    const groups = data.lengths.map((group) => ({ label: group.label, size: group.sentences, values: group.scores.map((scores) => scores[metric]) }));
    byId("length-groups").replaceChildren(groupTable(["Words in the reference", "Sentences", metric], groups));
  };
  fill(byId("length-metric"), metrics.map((name) => [name, name]), metrics[metrics.length - 1], showLengths);
  showLengths(metrics[metrics.length - 1]);
  byId("counted-in").textContent = data.countedIn;
  const groups = data.words.map((group) => ({ label: group.label, size: group.words, values: group.f1 }));
  byId("word-groups").replaceChildren(groupTable(["Occurrences", "Words", "F1"], groups));
}
