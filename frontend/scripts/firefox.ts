/**
 * Firefox, driven over WebDriver BiDi for `tests/other_browsers`: one request a line, `[name, ...arguments]`, and one
 * answer a line, `{"value": ...}` or `{"error": "..."}`, both JSON. It ends, and Firefox with it, when its input does.
 *
 * `node scripts/firefox.ts /usr/bin/firefox-esr [--no-scripts]`
 */
import { createInterface } from 'node:readline';
import puppeteer, { type BrowserContext, type KeyInput, type Page } from 'puppeteer-core';

const MILLISECONDS = 60_000;
const [executablePath = 'firefox-esr', ...options] = process.argv.slice(2);
const scripts = !options.includes('--no-scripts');

const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath,
  defaultViewport: { width: 1100, height: 800 },
  timeout: MILLISECONDS,
  protocolTimeout: MILLISECONDS,
  extraPrefsFirefox: {
    'javascript.enabled': scripts,
    'intl.accept_languages': 'en-GB',
    // A test's browser asks nobody but the test's servers: for all else there is a proxy that is not there.
    'network.proxy.type': 1,
    'network.proxy.http': '127.0.0.1',
    'network.proxy.http_port': 9,
    'network.proxy.ssl': '127.0.0.1',
    'network.proxy.ssl_port': 9,
    'network.proxy.no_proxies_on': 'localhost, 127.0.0.1',
  },
});
let window: BrowserContext | undefined;
let page: Page;

const answers = {
  /** A fresh window that knows nothing of the one before. */
  async fresh() {
    await window?.close();
    window = await browser.createBrowserContext();
    page = await window.newPage();
  },
  async open(address: string) {
    await page.goto(address);
  },
  /** What a function's body returns, in the page. */
  run: (body: string, ...values: unknown[]) =>
    page.evaluate(`(function () { ${body} }).apply(null, ${JSON.stringify(values)})`),
  click: (x: number, y: number) => page.mouse.click(x, y),
  press: (key: KeyInput) => page.keyboard.press(key),
  version: () => browser.version(),
};

type Name = keyof typeof answers;

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...values] = JSON.parse(line) as [Name, ...never[]];
  const answer = await (answers[name] as (...values: never[]) => Promise<unknown>)(...values).then(
    (value) => ({ value: value ?? null }),
    (error: unknown) => ({ error: String(error) }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
