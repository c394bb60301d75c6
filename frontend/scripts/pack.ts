/**
 * Lays out what the npm package ships: the built script, three declarations, the manifest and the licence. Of the
 * declarations that the compiler makes, only those of the class and its tag: nobody needs the types of what draws it.
 */

import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = new URL('..', import.meta.url).pathname;
const at = (...path: string[]) => join(root, ...path);

rmSync(at('types'), { recursive: true, force: true });
mkdirSync(at('types'));

execFileSync('vite', ['build', '--outDir', 'dist', '--logLevel', 'warn'], { cwd: root, stdio: 'inherit' });

const declared = mkdtempSync(join(tmpdir(), 'preference-center-'));
execFileSync('tsc', ['-p', 'tsconfig.types.json', '--noCheck', '--outDir', declared], { cwd: root, stdio: 'inherit' });
for (const name of ['define', 'element']) {
  const text = readFileSync(join(declared, `${name}.d.ts`), 'utf-8');
  // Declarations name the files that users have.
  writeFileSync(at('types', `${name}.d.ts`), text.replace(/(from '\.\/\w+)\.tsx?'/g, "$1.js'"));
}
rmSync(declared, { recursive: true });
copyFileSync(at('src', 'react.d.ts'), at('types', 'react.d.ts'));
copyFileSync(at('..', 'LICENSE'), at('LICENSE'));

execFileSync('node', ['scripts/manifest.ts', '--package'], { cwd: root, stdio: 'inherit' });
