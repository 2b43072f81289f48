// Adds up what a browser loads before the first page shows, compressed, and fails above the budget.
//
// The first load is index.html, the entry with everything it imports outright, the style sheets, and the largest pack of one language.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET = 350_000;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));
const gzipped = path => gzipSync(readFileSync(new URL(path, dist)), { level: 9 }).length;

/** The files a chunk needs, itself included. */
function filesOf(key, found = new Set()) {
  const chunk = manifest[key];
  if (found.has(chunk.file)) return found;
  found.add(chunk.file);
  for (const style of chunk.css ?? []) found.add(style);
  for (const imported of chunk.imports ?? []) filesOf(imported, found);
  return found;
}

const entry = Object.keys(manifest).find(key => manifest[key].isEntry);
if (!entry) throw new Error("the manifest names no entry");
const first = filesOf(entry);
const rest = Object.keys(manifest).filter(key => manifest[key].isDynamicEntry);
const sumOf = files => [...files].reduce((sum, file) => sum + gzipped(file), 0);
const extraOf = key => sumOf([...filesOf(key)].filter(file => !first.has(file)));
const largestOf = pattern => Math.max(...rest.filter(key => pattern.test(key)).map(extraOf));
const language = largestOf(/src\/i18n\/locales\//) + largestOf(/antd\/es\/locale\//);
const total = gzipped("index.html") + sumOf(first) + language;

const kilobytes = bytes => `${(bytes / 1000).toFixed(1)} kB`;
console.log(
  `first load ${kilobytes(total)} gzip (${kilobytes(language)} of it the largest language), budget ${kilobytes(BUDGET)}`,
);
for (const key of rest.filter(key => /-page\.tsx$/.test(key))) console.log(`  ${key}: ${kilobytes(extraOf(key))} more`);
if (total > BUDGET) {
  console.error("over budget: load later what the first page does not show");
  process.exit(1);
}
