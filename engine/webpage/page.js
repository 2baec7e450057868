// A page that explains pictures on the visitor's machine: loads runtime and model, hands pictures to the worker, draws.

import { giveCamera } from "./camera.js";
import { colouredMap, planeOf } from "./coloured_map.js";
import {
  givePictures, inWords, of, places, saveNumbers, savePicture, showClasses, showMap, showNumbers,
} from "./explain_parts.js";

const MOST = 16e6; // pixels that every browser's canvas has; larger pictures are made smaller first
const SIDE = 224; // smaller pictures are enlarged where a smooth map lies over them
const asked = new Map(); // what the worker was asked and has not answered
let settings = null, worker = null, ready = null, runtime = "", found = null, seen = null, turn = 0;

function told(error) {
  of("error").textContent = error;
  if (error) of("status").textContent = "There is no explanation.";
}

// The worker is begun by a file of this page's own, so that it may reach no other host either.
function started() {
  const first = `import ${JSON.stringify(new URL("worker.js", document.baseURI).href)};`;
  worker = new Worker(URL.createObjectURL(new Blob([first], { type: "text/javascript" })), { type: "module" });
  worker.onmessage = ({ data }) => {
    const { done, failed } = asked.get(data.id);
    asked.delete(data.id);
    if (data.error) failed(new Error(data.error));
    else done(data.answer);
  };
  return new Promise((done, failed) => {
    asked.set(0, { done, failed });
    worker.onerror = (event) => failed(new Error(event.message || "the browser starts no worker from a module"));
  });
}

let count = 0;
const ask = (what, more, given = []) => new Promise((done, failed) => {
  asked.set((count += 1), { done, failed });
  worker.postMessage({ id: count, what, ...more }, given);
});

// The bytes of a file; `step` is told how many came.
async function fetched(name, step) {
  const answer = await fetch(name).catch(() => null);
  if (!answer || !answer.ok) throw new Error(`${name} cannot be loaded${answer ? ` (status ${answer.status})` : ""}`);
  const reader = answer.body.getReader(), parts = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    step(part.value.length);
  }
  return new Blob(parts).arrayBuffer();
}

async function load() {
  settings = await (await fetch("settings.json")).json();
  let came = 0;
  const step = (bytes) => {
    came += bytes;
    of("progress").value = Math.min(1, came / settings.bytes);
    of("loaded").textContent = `${(came / 1e6).toFixed(1)} of ${(settings.bytes / 1e6).toFixed(1)} MB`;
  };
  const files = [fetched(settings.runtime, step), fetched(settings.model, step)];
  const [binary, model] = (await Promise.all([...files, started()])).slice(0, 2);
  of("loaded").textContent = "The model is being prepared.";
  of("progress").removeAttribute("value");
  const { version, threads } = await ask("open", { runtime: binary, model, settings }, [binary, model]);
  runtime = `onnxruntime-web ${version}, WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`;
  of("runtime").textContent = runtime;
  of("loading").hidden = true;
  if (!seen) of("status").textContent = "The model is ready: give it a picture.";
}

async function takeFile(file) {
  if (!file) return;
  try {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    take(bitmap, [bitmap.width, bitmap.height], file.name);
  } catch {
    of("result").hidden = of("classes").hidden = true;
    told(`${file.name || "What was pasted"} cannot be read as a picture.`);
  }
}

// Takes what a canvas can draw; transparent parts lie on white.
async function take(source, [width, height], name = "taken by the camera") {
  const scale = Math.min(1, Math.sqrt(MOST / (width * height)));
  const size = [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
  const [canvas, context] = canvasOf(size);
  context.fillStyle = "white";
  context.fillRect(0, 0, ...size);
  context.drawImage(source, 0, 0, ...size);
  const { data } = context.getImageData(0, 0, ...size), mine = (turn += 1);
  of("classes").hidden = of("result").hidden = true;
  canvas.toBlob((blob) => {
    URL.revokeObjectURL(of("given").src);
    Object.assign(of("given"), { src: URL.createObjectURL(blob), hidden: false, alt: `The given picture, ${name}` });
  });
  told("");
  try {
    if (!of("loading").hidden) of("status").textContent = "The model is loading; then it runs.";
    await ready;
    if (mine !== turn) return;
    const looked = await ask("look", { pixels: data, size }, [data.buffer]);
    if (mine !== turn) return;
    seen = looked;
    await explain(-1);
  } catch (error) {
    if (mine === turn) told(error.message);
  }
}

// Asks for the map of a class; of a new picture, -1, for that of the top one and for the classes.
async function explain(target) {
  const mine = (turn += 1);
  of("status").textContent = "The model runs.";
  of("error").textContent = "";
  of("result").setAttribute("aria-busy", "true");
  try {
    const answer = await ask("explain", { target });
    if (mine !== turn) return;
    if (target < 0) showClasses(answer.scores, settings.labels);
    show(answer, target < 0 ? answer.scores.indexOf(Math.max(...answer.scores)) : target);
  } catch (error) {
    if (mine === turn) told(`The model cannot be run: ${error.message}`);
  } finally {
    if (mine === turn) of("result").setAttribute("aria-busy", "false");
  }
}

const labelOf = (target) => settings.labels[target] ?? String(target);

function show({ values, dims, score, delta, seconds }, target) {
  const explained = `class ${labelOf(target)}`, map = planeOf(values, dims, settings.preprocess.layout, settings.reduce);
  if (!values.every(Number.isFinite)) throw new Error("its map holds NaN or infinite values");
  found = { method: settings.method, target, explained, score, ...(delta === null ? {} : { delta }), dims, values };
  of("result").hidden = false;
  const { width, height, plane } = map, parts = places(height, width, (y, x) => Math.abs(plane[y * width + x]));
  showMap(addressOf(ofSeen(), seen.size), drawn(map, dims.length === 3), explained, parts);
  showNumbers(LEGEND, parts, [
    ...(plane.some((one) => one !== 0) ? [] : ["The map is zero everywhere: the score hangs on no part of this picture."]),
    ...(delta === null ? [] : [`The values and the change of the score differ by ${inWords(delta)}.`]),
  ]);
  const took = seconds < 0.1 ? seconds.toFixed(2) : seconds.toFixed(1);
  of("status").textContent = `${settings.method} of ${explained}, score ${inWords(score)}; ${took} s on ${runtime}.`;
}

const LEGEND = "The stronger the colour, the more it counts; of two colours red raises the score, blue lowers it.";

// Four bytes of each pixel that the model saw.
function ofSeen() {
  const out = new Uint8ClampedArray((seen.seen.length / 3) * 4).fill(255);
  for (let k = 0; k < seen.seen.length / 3; k += 1) out.set(seen.seen.subarray(3 * k, 3 * k + 3), 4 * k);
  return out;
}

// The map as an address; a smooth one at the size of its picture, at least as large as pictures are shown.
function drawn(map, smooth) {
  const factor = smooth ? Math.max(1, Math.floor(SIDE / Math.max(...seen.size))) : 1;
  const size = smooth ? seen.size.map((side) => side * factor) : [map.width, map.height];
  return addressOf(colouredMap(map, size, settings), size);
}

function addressOf(pixels, size) {
  const [canvas, context] = canvasOf(size);
  context.putImageData(new ImageData(pixels, ...size), 0, 0);
  return canvas.toDataURL("image/png");
}

function canvasOf([width, height]) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
}

const stem = () => `${settings.method}-${labelOf(found.target)}`.replace(/[^\w-]+/g, "_");

of("status").textContent = "The model is loading.";
ready = load();
ready.catch((error) => {
  of("loading").hidden = true;
  told(`The page cannot be used: ${error.message}.`);
});
givePictures(takeFile);
giveCamera(take, told);
of("top").addEventListener("change", (event) => explain(Number(event.target.value)));
of("png").addEventListener("click", () => savePicture(stem(), of("seen"), of("map")));
of("json").addEventListener("click", () => saveNumbers(stem(), { ...found, values: [...found.values] }));
