/** One center used by every test: the fixtures of the dev page. */
import { FakeServer } from '../dev/fake-server.ts';
import arabic from '../dev/fixtures/center.ar.json';
import document from '../dev/fixtures/center.json';
import preferences from '../dev/fixtures/preferences.json';
import type { CenterDocument, Preferences } from '../src/api/types.ts';

export const center = document as unknown as CenterDocument;
export const centerInArabic = arabic as unknown as CenterDocument;
export const prefs = preferences as unknown as Preferences;

let count = 0;

/** A server of its own address, so that no session of another test is found. */
export function newServer(document: unknown = center): FakeServer {
  count += 1;
  return new FakeServer(document, prefs, `https://cms.example/api/v1/centers/${count}-${Math.random()}/`);
}
