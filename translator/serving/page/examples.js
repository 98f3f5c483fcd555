"use strict";
// The request of the page as commands to copy. The key that a person has entered is never part of them.

function showExamples() {
  const url = new URL("translate", location.origin + location.pathname).href;
  const fields = JSON.stringify({ q: byId("text").value, ...direction() });
  const headers = { "Content-Type": "application/json" };
  if (state.settings.keyRequired) headers.Authorization = "Bearer YOUR-KEY";
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const options = Object.entries(headers).map(([name, value]) => ` \\\n  -H ${quoted(`${name}: ${value}`)}`);
  byId("curl").textContent = `curl ${url}${options.join("")} \\\n  --data-raw ${quoted(fields)}`;
  // Objects of strings in JSON are Python, too.
  byId("python").textContent = [
    "import json",
    "import urllib.request",
    "",
    `fields = ${fields}`,
    `headers = ${JSON.stringify(headers)}`,
    `request = urllib.request.Request("${url}", json.dumps(fields).encode(), headers)`,
    "with urllib.request.urlopen(request) as answer:",
    '    print(json.load(answer)["translatedText"])',
  ].join("\n");
}
