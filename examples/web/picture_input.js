// A picture as the input of a model, as onnxray.Preprocess makes it; sizes are (width, height).

import { resizedPixels, rounded } from "./resampling.js";

const COVER = 256 / 224; // the usual margin: pictures are resized to 256, then 224 of it are kept
const GREY = 114; // round letterboxed pictures

// What the model sees of a picture of four bytes a pixel: three bytes a pixel, in the model's size.
export function seenOf(pixels, size, seen, fit) {
  if (fit === "crop") return cropped(pixels, size, seen);
  return fit === "letterbox" ? letterboxed(pixels, size, seen) : resizedPixels(pixels, size, seen);
}

function cropped(pixels, [width, height], [wide, high]) {
  const [least, most] = [rounded(wide * COVER), rounded(high * COVER)];
  const full = most * width >= least * height
    ? [Math.floor((most * width) / height), most]
    : [least, Math.floor((least * height) / width)];
  const [left, top] = [rounded((full[0] - wide) / 2), rounded((full[1] - high) / 2)];
  const [across, down] = [width / full[0], height / full[1]];
  const box = [left * across, top * down, (left + wide) * across, (top + high) * down];
  return resizedPixels(pixels, [width, height], [wide, high], box);
}

function letterboxed(pixels, [width, height], [wide, high]) {
  let [x, y] = [wide, high];
  if (width / height > wide / high) y = rounded((height / width) * wide);
  if (width / height < wide / high) x = rounded((width / height) * high);
  const out = new Uint8Array(wide * high * 3).fill(GREY);
  if (!x || !y) return out; // so narrow that nothing of it is left
  const inner = resizedPixels(pixels, [width, height], [x, y]);
  const [left, top] = [rounded((wide - x) * 0.5), rounded((high - y) * 0.5)];
  for (let row = 0; row < y; row += 1)
    out.set(inner.subarray(row * x * 3, (row + 1) * x * 3), ((row + top) * wide + left) * 3);
  return out;
}

// What the model sees as its input: (low + pixels / 255 * (high - low) - mean) / std, by channels and layout.
export function inputOf(seen, { channels, layout, range: [low, high], mean, std }) {
  const count = channels.length, places = seen.length / 3, out = new Float32Array(places * count);
  const values = [...channels].map((_, c) => Float32Array.from({ length: 256 }, (_, byte) =>
    (low + (byte / 255) * (high - low) - mean[c % mean.length]) / std[c % std.length]));
  for (let k = 0; k < places; k += 1)
    for (let c = 0; c < count; c += 1)
      out[layout === "NHWC" ? k * count + c : c * places + k] = values[c][byteOf(seen, 3 * k, channels, c)];
  return out;
}

function byteOf(seen, at, channels, c) {
  if (channels === "L") return (seen[at] * 19595 + seen[at + 1] * 38470 + seen[at + 2] * 7471 + 0x8000) >> 16;
  return seen[at + (channels === "BGR" ? 2 - c : c)];
}
