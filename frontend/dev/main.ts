/**
 * One element over a server in memory. `?fixture=ar` right to left, `?dark` a dark host page without any theme,
 * `?theme=dark`, `?state=closed|signing-up|expired|ends-soon|failed|errors|dirty|saved|merged|offline`.
 */
import '../src/define.ts';
import { FakeServer, problem, SRC } from './fake-server.ts';
import arabic from './fixtures/center.ar.json';
import center from './fixtures/center.json';
import preferences from './fixtures/preferences.json';

const query = new URLSearchParams(location.search);
const state = query.get('state') ?? '';
const server = new FakeServer(query.get('fixture') === 'ar' ? arabic : center, preferences);
server.document = { ...server.document, page_url: location.href };
server.install();
sessionStorage.clear();
if (query.has('dark')) document.documentElement.classList.add('dark');
if (state === 'expired') server.codes.clear();
if (state === 'ends-soon') server.lastEnd = Date.now() + 90_000;
if (state === 'failed') server.override = ({ path }) => (path === 'sessions/' ? problem(500) : null);
if (state === 'errors')
  server.override = ({ method }) =>
    method === 'PATCH'
      ? problem(422, {
          errors: {
            topics: { 'choices.news.sms': ['We need your mobile number for this.'] },
            profile: { first_name: ['Please tell us your first name.'] },
          },
        })
      : null;
if (state === 'merged')
  server.override = ({ method }) =>
    method === 'PATCH'
      ? {
          version: 9,
          receipt: 'r',
          applied: [{ path: 'a', text: 'Product news by SMS: subscribed' }],
          merged: [{ path: 'b', text: 'At most: stays “once a month”, which you chose on your phone.' }],
          preferences: server.preferences,
        }
      : null;
if (state === 'offline') server.override = ({ method }) => (method === 'PATCH' ? new TypeError() : null);
if (state !== 'closed' && state !== 'signing-up') history.replaceState(null, '', '#pc=code');

const element = document.createElement('preference-center');
element.setAttribute('src', SRC);
const theme = query.get('theme');
if (theme) element.setAttribute('theme', theme);
document.querySelector('main')?.append(element);

element.addEventListener('preference-center-loaded', () => {
  const root = element.shadowRoot as ShadowRoot;
  if (state === 'signing-up') root.querySelector<HTMLElement>('#notice [type=button]')?.click();
  if (['dirty', 'saved', 'errors', 'merged', 'offline'].includes(state))
    root.getElementById('topics.choices.news.sms')?.click();
  if (['saved', 'errors', 'merged', 'offline'].includes(state))
    root.querySelector<HTMLButtonElement>('[part=save]')?.click();
});
