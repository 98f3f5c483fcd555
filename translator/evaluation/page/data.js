// The data of the page, what is chosen, and how elements are made: text is always inserted as text.

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const state = { theme: "light", first: 0, second: 1, order: "second", find: "", count: 0, at: -1 };

function make(name, { className, text, ...attributes } = {}, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const nameOf = (index) => make("bdi", { text: data.systems[index], dir: "auto" });
const colourOf = (index) => `system-${index % 6}`;
const count = (number) => number.toLocaleString("en");
const signed = (number) => (number > 0 ? "+" : number < 0 ? "−" : "±") + Math.abs(number).toFixed(1);

// A select element with [value, text] as options; `choose` is called with the new value.
function fill(select, options, chosen, choose) {
  select.replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  select.value = chosen;
  select.onchange = () => choose(select.value);
}
