// Opens report.html in Chromium, uses it as a reader would, and prints what was seen as one line of JSON.
// Arguments: the page, the browser, the folder with node_modules.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [page_path, browser_path, modules] = process.argv.slice(2);
const { chromium } = createRequire(modules + "/")("playwright-core");
const seen = { problems: [], requests: [] };
const browser = await chromium.launch({ executablePath: browser_path, args: ["--no-sandbox"] });

async function open(options) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(20000);
  page.on("pageerror", (error) => seen.problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && seen.problems.push(message.text()));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) seen.requests.push(request.url());
  });
  await page.goto(pathToFileURL(page_path).href);
  return page;
}

const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
const table = page.locator("table", { has: page.locator("caption", { hasText: "Every kind, over its seeds" }) });
const column = async (name) => {
  const heads = await table.locator("thead th").allInnerTexts();
  const at = heads.findIndex((text) => text.trim().startsWith(name));
  return { at, button: table.locator("thead th").nth(at).locator("button"), head: table.locator("thead th").nth(at) };
};
const bytes = await column("int8 bytes");
const names = () => table.locator("tbody th").allInnerTexts();
seen.before = await names();
await bytes.button.click();
seen.ascending = await names();
seen.smallest = await table.locator("tbody tr").first().locator("td").nth(bytes.at - 1).innerText();
seen.sort = await bytes.head.getAttribute("aria-sort");
await bytes.button.focus();
await page.keyboard.press("Enter");
seen.descending = await names();
seen.said = await page.locator("#say").innerText();

await page.fill("input[name=bytes]", "5000");
seen.answer = await page.locator("#answer").innerText();
await page.fill("input[name=acc]", "99.99");
seen.none = await page.locator("#answer").innerText();

const figures = page.locator("figure svg");
seen.figures = await figures.count();
if (seen.figures > 0) {
  await figures.first().focus();
  await page.keyboard.press("ArrowRight");
  seen.tip = await page.locator("#tip").innerText();
  await page.keyboard.press("Escape");
  seen.tip_hidden = await page.locator("#tip").isHidden();
  seen.label = await figures.first().getAttribute("aria-label");
  await figures.first().locator("g[data-value]").last().hover();
  seen.hovered = await page.locator("#tip").innerText();
}
const paint = (p) => p.evaluate(() => getComputedStyle(document.body).backgroundColor);
const ids = await page.evaluate(() => [...document.querySelectorAll("[id]")].map((element) => element.id));
seen.repeated = ids.filter((id, at) => ids.indexOf(id) !== at);
seen.light = await paint(page);

const phone = await open({ viewport: { width: 390, height: 800 }, colorScheme: "dark", hasTouch: true });
seen.dark = await paint(phone);
seen.too_wide = await phone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
await browser.close();
console.log(JSON.stringify(seen));
