/** A host page as strict as can be, around the built script: served raw, for Vite would add a script of its own. */
import type { build, Plugin } from 'vite';
import center from '../../dev/fixtures/center.json' with { type: 'json' };
import preferences from '../../dev/fixtures/preferences.json' with { type: 'json' };

const POLICY = [
  "default-src 'none'",
  'script-src ORIGIN/strict/preference-center.js',
  "style-src 'self'",
  "connect-src 'self'",
  'img-src https:',
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

/** Names that hide natives of `document` from whoever asks it for them. */
const CLOBBERED = ['createElement', 'createElementNS', 'createTextNode', 'baseURI', 'body', 'documentElement'];

const PAGE = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Strict</title>
<script type="module" src="/strict/preference-center.js"></script></head><body>
${CLOBBERED.map((name) => `<img alt="" name="${name}">`).join('')}
<preference-center src="/strict/api/"><a href="/own/">Own page</a></preference-center></body></html>`;

/** For a frame of another origin: its parent sets its clock, and has it press by script. */
const FRAMED = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Framed</title><script>
performance.now = () => 0;
addEventListener('message', ({ data }) => {
  if (data === 'later') performance.now = () => 501;
  else document.querySelector('preference-center').shadowRoot.querySelector('[part~=leave]').click();
  parent.postMessage(data, '*');
});
</script><script type="module" src="/strict/preference-center.js"></script></head><body>
<preference-center src="/strict/api/"><a href="/own/">Own page</a></preference-center></body></html>`;

let saves = 0;
let script: Promise<string> | undefined;

async function builtScript(builder: typeof build): Promise<string> {
  const built = await builder({ configFile: 'vite.config.ts', logLevel: 'error', build: { write: false } });
  const output = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
  const chunk = output.find((file) => file.type === 'chunk');
  if (chunk?.type !== 'chunk' || chunk.imports.length) throw new Error('the build is not one file without imports');
  return chunk.code;
}

export function strictPage(builder: typeof build): Plugin {
  return {
    name: 'strict-page',
    // A sandboxed frame is of no origin, and asks like any foreign page.
    config: () => ({ server: { cors: { origin: '*' } } }),
    configureServer(server) {
      server.middlewares.use('/strict/', async (request, response) => {
        const path = (request.url ?? '').split('?')[0];
        const json = (body: object) => {
          response.setHeader('Content-Type', 'application/json');
          response.end(JSON.stringify(body));
        };
        if (path === '/framed') {
          response.setHeader('Content-Type', 'text/html');
          response.end(FRAMED);
        } else if (path === '/saves') json({ saves });
        else if (path === '/page') {
          response.setHeader('Content-Type', 'text/html');
          response.setHeader('Content-Security-Policy', POLICY.replace('ORIGIN', `http://${request.headers.host}`));
          response.end(PAGE);
        } else if (path === '/preference-center.js') {
          script ??= builtScript(builder);
          response.setHeader('Content-Type', 'text/javascript');
          response.end(await script);
        } else if (path === '/api/') json(center);
        else if (path === '/api/sessions/') json({ session: 's', expires_at: '2026-11-22T12:00:00Z', preferences });
        else if (request.method === 'PATCH') {
          saves += 1;
          json({ version: 8, receipt: 'r', applied: [{ path: 'x', text: 'Done' }], merged: [], preferences });
        } else json(preferences);
      });
    },
  };
}
