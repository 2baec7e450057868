// Runs the explainer beside the page, so that the page stays alive: "open" makes the session, "look" takes a picture,
// "explain" gives scores and attribution of a class, -1 for the top one.

import * as ort from "./onnxruntime-web.js";
import { inputOf, seenOf } from "./picture_input.js";

const MOST = 4; // threads
let session = null, settings = null, seen = null, turn = Promise.resolve();

const DOING = {
  async open(asked) {
    settings = asked.settings;
    const threads = self.crossOriginIsolated ? Math.min(MOST, navigator.hardwareConcurrency || 1) : 1;
    Object.assign(ort.env.wasm, { wasmBinary: asked.runtime, numThreads: threads });
    const model = new Uint8Array(asked.model);
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
    return { version: ort.env.versions.web, threads };
  },

  async look({ pixels, size }) {
    const [high, wide] = settings.preprocess.size;
    seen = seenOf(pixels, size, [wide, high], settings.preprocess.fit);
    return { seen, size: [wide, high] };
  },

  async explain({ target }) {
    const [high, wide] = settings.preprocess.size, { channels, layout } = settings.preprocess;
    const dims = layout === "NHWC" ? [1, high, wide, channels.length] : [1, channels.length, high, wide];
    const feeds = {
      [settings.input]: new ort.Tensor("float32", inputOf(seen, settings.preprocess), dims),
      [settings.target]: new ort.Tensor("int64", BigInt64Array.of(BigInt(target)), [1]),
    };
    const start = performance.now(), found = await session.run(feeds, settings.outputs);
    const [scores, score, attribution, delta] = settings.outputs.map((name) => found[name]);
    return {
      seconds: (performance.now() - start) / 1000, scores: [...scores.data].map(Number), score: Number(score.data[0]),
      values: Float32Array.from(attribution.data), dims: attribution.dims.map(Number), delta: delta ? Number(delta.data[0]) : null,
    };
  },
};

self.addEventListener("message", ({ data }) => {
  turn = turn.then(() => DOING[data.what](data)).then(
    (answer) => self.postMessage({ id: data.id, answer }),
    (error) => self.postMessage({ id: data.id, error: String(error && error.message ? error.message : error) }),
  );
});
self.postMessage({ id: 0 }); // it has started
