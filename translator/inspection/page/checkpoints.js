// A slider through the checkpoints of the run; its last position is the weights that the page was made with.

function startCheckpoints() {
  if (!data.checkpoints.length) return;
  const figures = heads.map((head) => [head.entropy, head.maximum]);
  const points = [
    ...data.checkpoints.map((point) => ({ ...point, name: `step ${point.step.toLocaleString("en")}` })),
    { name: "final weights", figures, weights: data.weights },
  ];
  const slider = byId("checkpoint");
  slider.max = points.length - 1;
  const choose = () => {
    const point = points[slider.value];
    bytes.set(bytesOf(point.weights));
    for (const head of heads) {
      [head.entropy, head.maximum] = point.figures[head.index];
      cells.get(head.key).title = `${headName(head)}: ${headFigures(head)}`;
    }
    byId("checkpoint-name").textContent = point.name;
    slider.setAttribute("aria-valuetext", point.name);
    show();
  };
  slider.value = points.length - 1;
  slider.addEventListener("input", choose);
  byId("checkpoints").hidden = false;
  choose();
}
