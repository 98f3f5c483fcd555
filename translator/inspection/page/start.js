// Shared by the whole page: its text, its two views, merging, the theme, and printing.

function show() {
  document.documentElement.dataset.theme = state.theme;
  byId("theme").setAttribute("aria-pressed", String(state.theme === "dark"));
  byId("theme").textContent = state.theme === "dark" ? "Light" : "Dark";
  document.body.dataset.unit = state.words ? "words" : "pieces";
  for (const box of document.querySelectorAll(".merge")) box.checked = state.words;
  drawLegends();
  redrawOverview();
  drawEnlarged();
  if (!byId("lines").hidden) buildLines();
}

function chooseView(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isChosen = tab.id === `${name}-tab`;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
  }
  for (const view of ["maps", "lines"]) byId(view).hidden = view !== name;
  document.body.dataset.view = name;
  if (name === "lines") buildLines();
}

function startTheme() {
  const wanted = window.matchMedia("(prefers-color-scheme: dark)");
  const follow = () => (state.theme = wanted.matches ? "dark" : "light");
  let isChosen = false;
  follow();
  wanted.addEventListener("change", () => {
    if (isChosen) return;
    follow();
    show();
  });
  byId("theme").addEventListener("click", () => {
    isChosen = true;
    state.theme = state.theme === "dark" ? "light" : "dark";
    show();
  });
  // Print with the light theme, and draw the maps that were never scrolled to.
  let onScreen = state.theme;
  window.addEventListener("beforeprint", () => {
    onScreen = state.theme;
    state.theme = "light";
    show();
    heads.forEach(drawCell);
  });
  window.addEventListener("afterprint", () => {
    state.theme = onScreen;
    show();
  });
}

function startViews() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => chooseView(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const other = tabs[(tabs.indexOf(tab) + 1) % tabs.length];
      chooseView(other.getAttribute("aria-controls"));
      other.focus();
    });
  }
}

document.title = `Attention maps: ${data.run}`;
byId("run").textContent = data.run;
byId("source-text").replaceChildren(...visible(data.sourceText));
byId("target-text").replaceChildren(...visible(data.targetText));
for (const box of document.querySelectorAll(".merge")) {
  box.addEventListener("change", () => {
    state.words = box.checked;
    show();
  });
}
buildOverview();
startEnlarged();
startLines();
startTheme();
startViews();
startCheckpoints();
chooseView("maps");
show();
document.body.dataset.ready = "true";
