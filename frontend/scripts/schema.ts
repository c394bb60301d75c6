/**
 * Makes src/api/schema.gen.ts from the server's OpenAPI document: `npm run schema -- path/to/openapi.json`.
 *
 * Without an argument it looks where the server's build leaves the file, and does nothing when there is none.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const source = process.argv[2] ?? '../wagtail_prefs/api/openapi.json';

if (existsSync(source)) {
  const options = ['--root-types', '--root-types-no-schema-prefix', '-o', 'src/api/schema.gen.ts'];
  const { status } = spawnSync('openapi-typescript', [source, ...options], { stdio: 'inherit' });
  process.exitCode = status ?? 1;
} else {
  console.log(`no ${source}: src/api/types.ts stays as it is`);
}
