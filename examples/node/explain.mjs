// What a saved explainer sees in a picture, on onnxruntime-node: node explain.mjs explainer.onnx digit.raw
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const [model, picture] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
const pixels = Float32Array.from(readFileSync(picture), (byte) => byte / 255); // 28 x 28 bytes, grey
const image = new ort.Tensor("float32", pixels, [1, 1, 28, 28]);
const target = new ort.Tensor("int64", [-1n], [1]); // -1: the top class
const { attribution, score } = await session.run({ image, target });
console.log(JSON.stringify({ score: score.data[0], attribution: [...attribution.data] }));
