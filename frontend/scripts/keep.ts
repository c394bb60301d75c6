/**
 * Keeps the built script for the releases to come: `npm run keep`, once for each release, before its commit.
 *
 * Embed codes on other people's pages name a version for ever (docs/decisions/old-builds-travel-with-the-package.md).
 * The name is the one that `wagtail_prefs/centers/embed.py` gives it; the package's version is read from package.json.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const given = process.argv[2]; // another folder, for the test
const builds = given ? pathToFileURL(`${given}/`) : new URL('../../wagtail_prefs/builds/', import.meta.url);
const index = new URL('releases.json', builds);
const script = readFileSync(
  new URL('../../wagtail_prefs/static/wagtail_prefs/dist/preference-center.js', import.meta.url),
);
const { version: release } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf-8'));

const version = createHash('sha384').update(script).digest('hex').slice(0, 16);
writeFileSync(new URL(`${version}.js`, builds), script);
const before = existsSync(index) ? JSON.parse(readFileSync(index, 'utf-8')) : {};
const releases = { ...before, [release]: version };
writeFileSync(index, `${JSON.stringify(releases, null, 2)}\n`);
console.log(`${release} is ${version}`);
