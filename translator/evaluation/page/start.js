// Shared by the whole page: its title, its views, the choice of two systems, and the theme.

function showTheme() {
  document.documentElement.dataset.theme = state.theme;
  byId("theme").setAttribute("aria-pressed", String(state.theme === "dark"));
  byId("theme").textContent = state.theme === "dark" ? "Light" : "Dark";
}

function startTheme() {
  const wanted = window.matchMedia("(prefers-color-scheme: dark)");
  let isChosen = false;
  const follow = () => {
    if (!isChosen) state.theme = wanted.matches ? "dark" : "light";
    showTheme();
  };
  wanted.addEventListener("change", follow);
  byId("theme").addEventListener("click", () => {
    isChosen = true;
    state.theme = state.theme === "dark" ? "light" : "dark";
    showTheme();
  });
  follow();
}

function chooseView(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const isChosen = tab.id === `${name}-tab`;
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = !isChosen;
  }
  byId("pair-choice").hidden = data.systems.length < 3 || name !== "sentences";
}

function startViews() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  for (const tab of tabs) {
    tab.addEventListener("click", () => chooseView(tab.getAttribute("aria-controls")));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      const other = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
      chooseView(other.getAttribute("aria-controls"));
      other.focus();
    });
  }
}

function startPair() {
  const options = data.systems.map((name, index) => [String(index), name]);
  for (const [own, other] of [["first", "second"], ["second", "first"]])
    fill(byId(own), options, String(state[own]), (value) => {
      // A system is not compared with itself: the two change places.
      if (Number(value) === state[other]) state[other] = state[own];
      state[own] = Number(value);
      byId(other).value = String(state[other]);
      showPair();
    });
}

document.title = `${data.systems.join(", ")}: comparison of translations`;
const held = data.sentences.length;
byId("summary").textContent =
  `${count(data.systems.length)} systems, ${count(data.total)} sentences` +
  (held < data.total ? `; the page holds the ${count(held)} that differ most` : "");
buildScores();
buildGroups();
startSentences();
startPair();
startTheme();
startViews();
chooseView("sentences");
showPair();
document.body.dataset.ready = "true";
