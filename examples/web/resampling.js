// Resizing as Pillow does it: a filter as wide as the reduction, across and then down.
// Bytes are weighed in fixed point and rounded after each of the two passes, so that they come out as Pillow 13's to the
// bit; Pillow 12 and older always go across first, whose bytes differ by one here and there.

const BITS = 22; // of the weights of bytes
const TRIANGLE = { reach: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) };
const CUBIC = { reach: 2, at: (x) => cubic(Math.abs(x)) };

const cubic = (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0);

// For each place of a new line of `count` the first old one that it is made of, and the weights of those from there.
function taps(size, from, to, count, filter) {
  const scale = Math.fround(to - from) / count, wide = Math.max(scale, 1), reach = filter.reach * wide;
  return Array.from({ length: count }, (_, k) => {
    const centre = from + (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5)), end = Math.min(size, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: end - first }, (_, j) => filter.at((j + first - centre + 0.5) / wide));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((one) => (sum === 0 ? one : one / sum)) };
  });
}

const fixed = (found) =>
  found.map(({ first, weights }) => ({ first, weights: Int32Array.from(weights, (one) => Math.trunc(0.5 + one * (1 << BITS))) }));

// Pixels of four bytes, of which three are read, as pixels of three: the part in a box (left, top, right, bottom).
export function resizedPixels(pixels, [width, height], [wide, high], box = [0, 0, width, height]) {
  const [left, top, right, bottom] = box.map(Math.fround);
  const across = fixed(taps(width, left, right, wide, TRIANGLE)), down = fixed(taps(height, top, bottom, high, TRIANGLE));
  if (high < height && height - high > 2 * (width - wide)) { // much lower: down first
    const rows = downwards(pixels, 4, width, 0, down);
    return sideways(rows, 3, width, 0, high, across);
  }
  const last = down[high - 1], start = down[0].first;
  const rows = sideways(pixels, 4, width, start, last.first + last.weights.length, across);
  return downwards(rows, 3, wide, start, down);
}

// The rows from `start` to `end` of pixels of `step` bytes, in another width.
function sideways(pixels, step, width, start, end, found) {
  const out = new Uint8Array((end - start) * found.length * 3);
  for (let y = start, to = 0; y < end; y += 1)
    for (const { first, weights } of found)
      for (let channel = 0; channel < 3; channel += 1, to += 1)
        out[to] = weighed(pixels, (y * width + first) * step + channel, step, weights);
  return out;
}

// Rows of pixels of `step` bytes, the first of which is the row `start` of the picture, in another height.
function downwards(pixels, step, width, start, found) {
  const out = new Uint8Array(found.length * width * 3), row = width * step;
  let to = 0;
  for (const { first, weights } of found)
    for (let x = 0; x < width; x += 1)
      for (let channel = 0; channel < 3; channel += 1, to += 1)
        out[to] = weighed(pixels, (first - start) * row + x * step + channel, row, weights);
  return out;
}

function weighed(bytes, at, step, weights) {
  let sum = 1 << (BITS - 1);
  for (let k = 0; k < weights.length; k += 1) sum += bytes[at + k * step] * weights[k];
  return sum >> BITS;
}

// A plane of numbers at another size, smooth.
export function resizedPlane(plane, [width, height], [wide, high]) {
  if (width === wide && height === high) return plane;
  const across = taps(width, 0, width, wide, CUBIC), down = taps(height, 0, height, high, CUBIC);
  const rows = new Float32Array(height * wide), out = new Float32Array(high * wide);
  const sum = (from, at, step, weights) => weights.reduce((all, one, k) => all + from[at + k * step] * one, 0);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < wide; x += 1) rows[y * wide + x] = sum(plane, y * width + across[x].first, 1, across[x].weights);
  for (let y = 0; y < high; y += 1)
    for (let x = 0; x < wide; x += 1) out[y * wide + x] = sum(rows, down[y].first * wide + x, wide, down[y].weights);
  return out;
}

// As Python rounds: a half to the even number.
export function rounded(number) {
  const low = Math.floor(number), rest = number - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
}
