// What the pages that explain an input have in common: classes, overlay, parts of a picture, numbers, downloads, drop.

const TOP = 5;
export const of = (id) => document.getElementById(id);

// Calls a function with the picture that is chosen, dropped or pasted.
export function givePictures(take) {
  of("file").addEventListener("change", () => take(of("file").files[0]));
  document.addEventListener("paste", (event) => {
    const item = [...event.clipboardData.items].find((one) => one.type.startsWith("image/"));
    if (item) take(item.getAsFile());
  });
  for (const [kind, over] of Object.entries({ dragover: true, dragleave: false, drop: false }))
    of("drop").addEventListener(kind, (event) => {
      event.preventDefault();
      of("drop").classList.toggle("over", over);
      if (kind === "drop") take(event.dataTransfer.files[0]);
    });
}

// Shows the highest scores, the first of them chosen.
export function showClasses(scores, labels) {
  const ranked = scores.map((score, k) => [score ?? -Infinity, k]).sort((a, b) => b[0] - a[0]);
  const sum = scores.reduce((a, b) => a + b, 0);
  const shares = scores.length > 1 && scores.every((one) => one >= 0 && one <= 1) && Math.abs(sum - 1) < 0.01;
  of("top").replaceChildren(...ranked.slice(0, TOP).map(([score, k], rank) => {
    const label = document.createElement("label"), radio = document.createElement("input");
    const name = document.createElement("span"), value = document.createElement("b");
    Object.assign(radio, { type: "radio", name: "class", value: String(k), checked: rank === 0 });
    name.textContent = labels[k] ?? `class ${k}`;
    value.textContent = shares ? `${(100 * score).toFixed(1)} %` : score.toPrecision(4);
    label.append(radio, name, value);
    return label;
  }));
  of("classes").hidden = !ranked.length;
}

export const inWords = (score) => (Number.isFinite(score) ? score.toPrecision(4) : "not a number");

export const strongest = (pairs) => pairs.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 20);

// The shares of the nine parts of a picture in all that a map says, for those who do not see it; `at` is its strength.
export function places(height, width, at) {
  const names = ["upper", "middle", "lower"].flatMap((a) => ["left", "centre", "right"].map((b) => `${a} ${b}`));
  const sums = names.map((name) => [name, 0]);
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) sums[3 * Math.floor((3 * y) / height) + Math.floor((3 * x) / width)][1] += at(y, x);
  const all = sums.reduce((a, one) => a + one[1], 0) || 1;
  return strongest(sums.map(([name, sum]) => [name, sum / all]));
}

// Shows a map over its picture, both as addresses; `parts` are those of `places`.
export function showMap(picture, map, explained, parts) {
  of("picture").hidden = false;
  of("seen").onload = () => of("stack").classList.toggle("small", of("seen").naturalWidth < 200);
  of("seen").src = picture;
  of("map").src = map;
  of("map").alt = `Map of ${explained}; the strongest part is ${parts[0][0]}`;
  overlay();
}

function overlay() {
  of("map").style.opacity = of("overlay").value / 100;
  of("overlay").setAttribute("aria-valuetext", `${of("overlay").value} percent map`);
}

export function showNumbers(legend, parts, warnings) {
  of("legend").textContent = legend;
  of("warnings").replaceChildren(...warnings.map((text) => made("li", text)));
  of("values").replaceChildren(...parts.map(([name, value]) => {
    const row = document.createElement("tr");
    row.append(made("td", name), made("td", value.toPrecision(4)));
    return row;
  }));
}

function made(kind, text) {
  const one = document.createElement(kind);
  one.textContent = text;
  return one;
}

export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

export const saveNumbers = (name, held) =>
  save(`${name}.json`, new Blob([JSON.stringify(held)], { type: "application/json" }));

// Saves a map with the picture below it, as the overlay says; or the map alone.
export function savePicture(name, seen, map) {
  const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
  canvas.width = Math.max(map.naturalWidth, seen ? seen.naturalWidth : 0);
  canvas.height = Math.max(map.naturalHeight, seen ? seen.naturalHeight : 0);
  context.imageSmoothingEnabled = !of("stack").classList.contains("small");
  if (seen) context.drawImage(seen, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = seen ? of("overlay").value / 100 : 1;
  context.drawImage(map, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(`${name}.png`, blob), "image/png");
}

of("overlay").addEventListener("input", overlay);
