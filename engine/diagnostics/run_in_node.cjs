// Runs a model on onnxruntime-node or onnxruntime-web: PACKAGE FOLDER PLAN, a JSON of the file, inputs, names and runs.
// Inputs are read from files of raw bytes, outputs are written beside them; what it took is printed as JSON.
const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const [name, folder, plan] = process.argv.slice(2);
const ort = createRequire(path.join(folder, "here.js"))(name);
const asked = JSON.parse(fs.readFileSync(plan, "utf8"));
const arrays = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array, int32: Int32Array,
  uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };

function tensor({ type, dims, file }) {
  const bytes = fs.readFileSync(file);
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return new ort.Tensor(type, new arrays[type](whole), dims);
}

async function main() {
  const options = name === "onnxruntime-web" ? { executionProviders: ["wasm"] } : { intraOpNumThreads: asked.threads };
  if (name === "onnxruntime-web") ort.env.wasm.numThreads = asked.threads;
  const session = await ort.InferenceSession.create(asked.model, { logSeverityLevel: 3, ...options });
  const feeds = Object.fromEntries(asked.inputs.map((one) => [one.name, tensor(one)]));
  let found, seconds = Infinity;
  for (let k = 0; k < asked.runs; k++) {
    const start = process.hrtime.bigint();
    found = await session.run(feeds, asked.outputs);
    seconds = Math.min(seconds, Number(process.hrtime.bigint() - start) / 1e9);
  }
  const outputs = asked.outputs.map((one, k) => {
    const { data, dims, type } = found[one], file = path.join(path.dirname(plan), `output${k}`);
    fs.writeFileSync(file, Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return { name: one, dims: dims.map(Number), type, file };
  });
  const versions = ort.env.versions;
  console.log(JSON.stringify({ version: name === "onnxruntime-web" ? versions.web : versions.node, seconds, outputs }));
}

main().catch((error) => {
  console.error(String(error && error.message ? error.message : error));
  process.exit(1);
});
