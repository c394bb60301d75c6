import { createHash } from 'node:crypto';
import { minify } from 'terser';
import { defineConfig, type Plugin } from 'vite';

/**
 * A host page may have `<img name="createElement">`, which hides `document.createElement`: so superfine takes these
 * natives from the prototype. A page may also have added a `key` to the prototype of all objects, where superfine would
 * find one for every text. Fails when superfine is written in another way, so that a new version cannot undo it.
 */
export function unclobbered(): Plugin {
  const calls = /\bdocument\.(createTextNode|createElement|createElementNS)\(/g;
  return {
    name: 'unclobbered',
    apply: 'build',
    transform(code, id) {
      if (!/node_modules\/superfine\/index\.js/.test(id)) return null;
      const found = code.match(calls)?.length;
      const uses = code.match(/\bdocument\b/g)?.length;
      if (found !== 3 || uses !== 3) this.error(`expected 3 calls that create nodes in superfine: ${found} of ${uses}`);
      const empty = 'EMPTY_OBJ = {}';
      if (!code.includes(empty)) this.error(`superfine has no ${empty}`);
      const bare = code.replace(empty, 'EMPTY_OBJ = { __proto__: null }');
      return { code: bare.replace(calls, 'Document.prototype.$1.call(document,'), map: null };
    },
  };
}

/** What Vite's own minifier leaves, after it: a hundred bytes, brotli. */
function smaller(): Plugin {
  return {
    name: 'smaller',
    async generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type !== 'chunk') continue;
        const { code } = await minify(file.code, { module: true, ecma: 2020, compress: { passes: 3 } });
        if (code) file.code = code;
      }
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
  oxc: { jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment', development: false } },
  plugins: [unclobbered(), smaller(), integrity()],
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
