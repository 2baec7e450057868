// The page of a service: sends what is given to the operations of protocol v1, and shows what comes back.

import {
  givePictures, inWords, of, places, save, saveNumbers, savePicture, showClasses, showMap, showNumbers, strongest,
} from "./explain_parts.js";

const ASKING = { headers: { "content-type": "application/json" }, method: "POST" };
let card = null; // what the model takes and has
let picture = null; // the file of the picture, in base64
let found = null; // the explanation that is shown
let turn = 0; // counts what was asked: an answer to an older question is dropped

function told(error) {
  of("error").textContent = error;
  if (error) of("status").textContent = "There is no explanation.";
}

async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => null);
  if (!answer) throw new Error("The service does not answer.");
  const body = await answer.json().catch(() => ({ error: `The service answers with status ${answer.status}.` }));
  if (!answer.ok) throw new Error(body.error || `The service answers with status ${answer.status}.`);
  return body;
}

const post = (operation, body) =>
  ask(`v1/models/${encodeURIComponent(of("model").value)}:${operation}`, { ...ASKING, body: JSON.stringify(body) });

async function choose() {
  card = await ask(`v1/models/${encodeURIComponent(of("model").value)}`);
  for (const kind of ["pictures", "text", "rows"]) of(`for-${kind}`).hidden = !card.takes.includes(kind);
  of("method").replaceChildren(...card.methods.map((name) => new Option(name, name)));
  of("columns").textContent = card.columns.length
    ? `${card.columns.length} numbers, between commas: ${card.columns.join(", ")}`
    : "Numbers between commas, or a nested list of them as JSON; several inputs as an object of lists.";
  forget();
}

function forget() {
  found = null;
  turn += 1;
  of("classes").hidden = of("other").hidden = of("result").hidden = true;
  of("top").replaceChildren();
  of("target").value = "";
  of("status").textContent = "Nothing is explained yet.";
  told("");
}

function instance() {
  if (card.takes.includes("text")) return { text: of("text").value };
  if (card.takes.includes("pictures")) {
    if (!picture) throw new Error("Choose, drop or paste a picture.");
    return { b64: picture };
  }
  const text = of("numbers").value.trim();
  if (/^[[{]/.test(text)) return JSON.parse(text);
  const numbers = text.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (!numbers.length || numbers.some(Number.isNaN)) throw new Error("Give numbers between commas.");
  return numbers;
}

const chosen = () =>
  of("target").value.trim() || (document.querySelector("#top input:checked") || { value: "top1" }).value;

// Asks for the classes of a new input, and for the map of what is chosen.
async function explain(anew) {
  const mine = (turn += 1);
  of("explain").disabled = true;
  of("status").textContent = "The model runs.";
  of("error").textContent = "";
  try {
    const instances = [instance()];
    if (anew) {
      const predicted = await post("predict", { instances });
      if (mine !== turn) return;
      classes((predicted.predictions || [])[0]);
    }
    const parameters = { method: of("method").value, target: chosen(), draw: true };
    const answer = await post("explain", { instances, parameters });
    if (mine === turn) show(answer.explanations[0]);
  } catch (error) {
    if (mine === turn) told(error.message);
  } finally {
    if (mine === turn) of("explain").disabled = false;
  }
}

function classes(scores) {
  showClasses(card.classes && Array.isArray(scores) ? scores.flat(9) : [], card.labels);
  of("other").hidden = false;
}

function show(explanation) {
  found = explanation;
  const { drawn } = explanation;
  of("status").textContent = `${explanation.method} of ${explanation.explained}, score ${inWords(explanation.score)}.`;
  of("result").hidden = false;
  of("picture").hidden = !drawn.picture;
  of("words").hidden = !explanation.words;
  of("bars").hidden = Boolean(drawn.picture || explanation.words || !drawn.map);
  const parts = explanation.words ? ofWords(explanation.words) : drawn.picture ? ofPlaces(explanation) : ofColumns(explanation);
  if (drawn.picture) {
    showMap(png(drawn.picture), png(drawn.map), explanation.explained, parts);
  } else if (drawn.map) {
    of("chart").src = png(drawn.map);
    of("chart").alt = `Chart of ${explanation.explained}; the numbers are in the table below`;
  }
  of("png").disabled = !drawn.map;
  const legend = explanation.words
    ? "Red words raise the score, blue ones lower it."
    : "The stronger the colour, the more it counts; of two colours red raises the score, blue lowers it.";
  showNumbers(legend, parts, explanation.warnings || []);
}

const png = (bytes) => `data:image/png;base64,${bytes}`;

function ofWords(words) {
  const nodes = [];
  let end = null;
  for (const word of words.filter((one) => one.sequence !== null)) {
    if (end !== null && word.start !== end) nodes.push(" ");
    const span = document.createElement("span");
    Object.assign(span, { textContent: word.text, title: word.attribution.toPrecision(4) });
    if (word.colour) Object.assign(span.style, { background: word.colour, color: word.ink });
    nodes.push(span);
    end = word.end;
  }
  of("words").replaceChildren(...nodes);
  return strongest(words.map((word) => [word.text, word.attribution]));
}

function ofColumns(explanation) {
  const inputs = Array.isArray(explanation.values) ? { "": explanation.values } : explanation.values;
  const pairs = Object.entries(inputs).flatMap(([input, values]) =>
    [values].flat(9).map((value, k) => [card.columns[k] ?? `${input} ${k}`.trim(), value ?? 0]));
  return strongest(pairs);
}

function ofPlaces(explanation) {
  const depth = (one) => (Array.isArray(one) ? 1 + depth(one[0]) : 0);
  let { values } = explanation;
  const last = depth(values) === 3 && values.length > 4; // channels behind height and width
  if (depth(values) === 2) values = [values];
  const [height, width] = last ? [values.length, values[0].length] : [values[0].length, values[0][0].length];
  const at = (y, x) => (last ? values[y][x] : values.map((plane) => plane[y][x])).reduce((a, b) => a + Math.abs(b), 0);
  return places(height, width, at);
}

const stem = () => `${of("model").value}-${found.method}`;

function download() {
  const [seen, map] = found.drawn.picture ? [of("seen"), of("map")] : [null, found.words ? null : of("chart")];
  if (seen || map) return savePicture(stem(), seen, map);
  const bytes = Uint8Array.from(atob(found.drawn.map), (letter) => letter.charCodeAt(0));
  return save(`${stem()}.png`, new Blob([bytes], { type: "image/png" }));
}

async function take(file) {
  if (!file || !card || !card.takes.includes("pictures")) return;
  const address = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(file);
  });
  picture = address.slice(address.indexOf(",") + 1);
  Object.assign(of("given"), { src: address, hidden: false, alt: `The given picture, ${file.name || "pasted"}` });
  of("target").value = "";
  explain(true);
}

of("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (card) explain(true);
});
of("model").addEventListener("change", () => choose().catch((error) => told(error.message)));
of("method").addEventListener("change", () => found && explain(false));
of("top").addEventListener("change", () => {
  of("target").value = "";
  explain(false);
});
of("target").addEventListener("change", () => found && explain(false));
of("json").addEventListener("click", () => {
  const { drawn, ...rest } = found;
  saveNumbers(stem(), rest);
});
of("png").addEventListener("click", download);
givePictures(take);
choose().catch((error) => told(error.message));
