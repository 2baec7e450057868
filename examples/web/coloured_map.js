// A map as a picture, in the colours that onnxray draws it in.

import { resizedPlane, rounded } from "./resampling.js";

const SHARE = 0.995; // of the absolute values, where the colours end
const NOISE = 1e-3; // of the largest: a scale that ends lower would show rounding errors as evidence

// One number for each place of an attribution of one example, whose axes are those of its picture or of a layer.
export function planeOf(values, dims, layout, reduce) {
  if (dims.length === 3) return { plane: values, width: dims[2], height: dims[1] };
  const last = layout === "NHWC", [count, height, width] = last ? [dims[3], dims[1], dims[2]] : dims.slice(1);
  const places = height * width, at = (k, c) => values[last ? k * count + c : c * places + k];
  const plane = Float32Array.from({ length: places }, (_, k) => {
    let found = 0;
    for (let c = 0; c < count; c += 1)
      found = reduce === "mean" ? found + at(k, c) / count : Math.max(found, Math.abs(at(k, c)));
    return found;
  });
  return { plane, width, height };
}

// The pixels of a map, four bytes each, at a size; palettes are rows of red, green and blue.
export function colouredMap({ plane, width, height }, size, { palettes, plain, from_least: fromLeast }) {
  const start = fromLeast ? plane.reduce((a, b) => Math.min(a, b), Infinity) : 0;
  const signed = plane.some((one) => one < start), end = start + spanOf(plane.map((one) => Math.abs(one - start)));
  const shares = plane.map((one) => Math.min(1, Math.max(signed ? -1 : 0, (one - start) / (end - start))));
  const full = resizedPlane(shares, [width, height], size), colours = palettes[signed ? "bwr" : plain];
  const out = new Uint8ClampedArray(full.length * 4).fill(255);
  full.forEach((one, k) => {
    const share = Math.min(1, Math.max(0, signed ? (one + 1) / 2 : one));
    out.set(colours[rounded(share * (colours.length - 1))], 4 * k);
  });
  return out;
}

// The percentile as numpy has it, between the two values next to it; the largest where that leaves hardly anything.
function spanOf(strengths) {
  const sorted = Float64Array.from(strengths).sort(), place = SHARE * (sorted.length - 1), low = Math.floor(place);
  const next = sorted[Math.min(low + 1, sorted.length - 1)], end = sorted[low] + (next - sorted[low]) * (place - low);
  const top = sorted[sorted.length - 1];
  return end > NOISE * top ? end : top || 1;
}
