/**
 * Draws a page of React on the server and bundles it for the browser, as a framework does, for tests:
 * `node scripts/react-page.ts FOLDER`, where `Page.tsx` exports the page. Prints `{"html", "script"}` as JSON.
 * React is the one for development, which says what it finds odd.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'vite';

const folder = process.argv[2] as string;
// Below our own modules, where the server's half finds React.
const made = mkdtempSync(new URL('../node_modules/.react-page-', import.meta.url).pathname);

const SHELL = `
import Page from './Page';
export const Shell = () => (
  <html lang="en"><head><meta charSet="utf-8" /><title>A host</title></head><body><div id="root"><Page /></div></body></html>
);`;
const SERVER = `
import { renderToString } from 'react-dom/server';
import { Shell } from './Shell';
export const html = '<!doctype html>' + renderToString(<Shell />);`;
const CLIENT = `
import { hydrateRoot } from 'react-dom/client';
import { Shell } from './Shell';
hydrateRoot(document, <Shell />, {
  onRecoverableError: (error) => console.error('recoverable: ' + error),
  onUncaughtError: (error) => console.error('uncaught: ' + error),
});
globalThis.hydrated = true;`;

for (const [name, code] of Object.entries({ Shell: SHELL, server: SERVER, client: CLIENT }))
  writeFileSync(join(folder, `${name}.tsx`), code);

const common = {
  configFile: false as const,
  root: folder,
  mode: 'development',
  logLevel: 'error' as const,
  oxc: { jsx: { runtime: 'automatic' as const, development: false } },
  define: { 'process.env.NODE_ENV': '"development"' },
  resolve: {
    alias: Object.fromEntries(
      ['react', 'react-dom'].map((name) => [name, new URL(`../node_modules/${name}`, import.meta.url).pathname]),
    ),
  },
};

try {
  await build({
    ...common,
    resolve: {},
    build: {
      ssr: join(folder, 'server.tsx'),
      outDir: made,
      rolldownOptions: { external: /^react/, output: { entryFileNames: 'server.mjs' } },
    },
  });
  const { html } = await import(pathToFileURL(join(made, 'server.mjs')).href);
  const bundled = await build({
    ...common,
    build: { write: false, minify: false, rolldownOptions: { input: join(folder, 'client.tsx') } },
  });
  const [chunk] = [bundled].flat().flatMap((one) => ('output' in one ? one.output : []));
  if (chunk?.type !== 'chunk') throw new Error('nothing was bundled');
  process.stdout.write(JSON.stringify({ html, script: chunk.code }));
} finally {
  rmSync(made, { recursive: true });
}
