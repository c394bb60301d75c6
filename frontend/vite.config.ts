import { createHash } from 'node:crypto';
import { defineConfig, type Plugin } from 'vite';

/**
 * A host page may have `<img name="createElementNS">`, which hides `document.createElementNS`: Preact then takes both
 * natives from the prototype. Fails when Preact calls them in another way, so that a new version cannot undo it.
 */
export function unclobbered(): Plugin {
  const calls = /([\w$.]+)\.(createTextNode|createElementNS)\(/g;
  return {
    name: 'unclobbered',
    apply: 'build',
    transform(code, id) {
      if (!/node_modules\/preact\/dist\/preact/.test(id)) return null;
      const found = code.match(calls)?.length;
      if (found !== 2) this.error(`expected 2 calls that create nodes in Preact, found ${found}`);
      return { code: code.replace(calls, 'Document.prototype.$2.call($1,'), map: null };
    },
  };
}

/** `integrity.json` beside the script, for the embed code: `integrity="..."` and an address that never changes. */
function integrity(): Plugin {
  return {
    name: 'integrity',
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'chunk') continue;
        const hash = (algorithm: string) => createHash(algorithm).update(file.code);
        const facts = {
          file: file.fileName,
          integrity: `sha384-${hash('sha384').digest('base64')}`,
          version: hash('sha256').digest('hex').slice(0, 12),
        };
        this.emitFile({ type: 'asset', fileName: 'integrity.json', source: `${JSON.stringify(facts, null, 2)}\n` });
      }
    },
  };
}

export default defineConfig({
  // The classic runtime is smaller: `h` is in Preact anyway.
  oxc: {
    jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment', development: false },
    jsxInject: `import { h, Fragment } from 'preact'`,
  },
  plugins: [unclobbered(), integrity()],
  server: { open: '/dev/' },
  publicDir: false,
  build: {
    outDir: '../wagtail_prefs/static/wagtail_prefs/dist',
    emptyOutDir: true,
    target: 'es2022',
    // Older than these, Lightning CSS rewrites light-dark() into something that needs a literal color-scheme.
    cssTarget: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: false,
    // An application build: the library mode of Vite leaves white space in.
    rolldownOptions: {
      input: { 'preference-center': 'src/define.ts' },
      preserveEntrySignatures: 'strict',
      output: { format: 'es', entryFileNames: '[name].js' },
    },
  },
});
