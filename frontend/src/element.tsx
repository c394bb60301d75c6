import { render } from 'preact';
import { Client } from './api/client.ts';
import { App } from './app.tsx';
import { SessionKeeper, takeCode } from './state/session.ts';
import { type Signal, Store } from './state/store.ts';
import css from './styles/center.css?inline';

/** Importable where there is no DOM, as in a server render. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/**
 * A preference center, drawn from the document at `src`. It draws into its own shadow root and writes nothing on
 * itself, so that frameworks that compare attributes stay calm.
 *
 * @attr src - The address of the center document.
 * @attr theme - `light`, `dark` or `auto`; without it the element follows the page.
 * @attr locale - The wanted language; without it that of the closest `lang`.
 * @fires preference-center-loaded - The center is on screen. `detail`: `revision`, `phase`.
 * @fires preference-center-saved - A change was recorded. `detail`: `version`, `receipt`.
 * @fires preference-center-failed - It could not be loaded or saved. `detail`: `during`, `status` (0: no answer).
 * @slot - Shows until the center is there, and when it never comes: a link to the own page.
 */
export class PreferenceCenterElement extends Base {
  static readonly observedAttributes = ['src', 'locale'];

  readonly #internals = this.attachInternals();
  readonly #root = this.#internals.shadowRoot ?? this.attachShadow({ mode: 'open' });
  /** Whether the server drew the shadow root; it stays until we have something better. */
  #served = this.#root.hasChildNodes();
  #store: Store | null = null;
  /** From the first connection on; an upgrade names each attribute before it, and must not load once for each. */
  #connected = false;

  /** The address of the center document, absolute. */
  get src(): string {
    const src = this.getAttribute('src');
    return src ? new URL(src, this.baseURI).href : '';
  }

  set src(src: string) {
    this.setAttribute('src', src);
  }

  /** Whether there is something to save. */
  get dirty(): boolean {
    return !!this.#store?.draft.size;
  }

  constructor() {
    super();
    this.#root.addEventListener('click', this.#onClick);
  }

  connectedCallback(): void {
    this.#style();
    this.#connected = true;
    if (!this.#store) this.#start();
  }

  disconnectedCallback(): void {
    // A move in the page is no removal.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#connected = false;
      this.#stop();
    });
  }

  attributeChangedCallback(_name: string, before: string | null, after: string | null): void {
    if (!this.#connected || before === after) return;
    this.#stop();
    this.#start();
  }

  #start(): void {
    const { src } = this;
    if (!src) return;
    const client = new Client(src, this.getAttribute('locale') ?? closestLanguage(this));
    const store = new Store(client, new SessionKeeper(client.base, () => sessionStorage), (signal, detail) => {
      // A save of before may still be on its way.
      if (store === this.#store) this.#hear(store, signal, detail);
    });
    this.#store = store;
    addEventListener('online', this.#onOnline);
    void store.load(takeCode(client.base, location, history));
  }

  #stop(): void {
    this.#store?.stop();
    this.#store = null;
    removeEventListener('online', this.#onOnline);
    removeEventListener('beforeunload', beforeUnload);
  }

  readonly #onOnline = () => void this.#store?.retry();

  /** A `#path` names a field in our root, where the page's own fragment does not reach. */
  readonly #onClick = (event: Event) => {
    const path = (event.target as Element).closest('a')?.getAttribute('href') ?? '';
    if (!path.startsWith('#')) return;
    event.preventDefault();
    const field = this.#root.getElementById(path.slice(1));
    const inputs = 'input, select, textarea';
    (field?.matches(inputs) ? field : field?.querySelector<HTMLElement>(inputs))?.focus();
  };

  #hear(store: Store, signal?: Signal, detail?: object): void {
    if (!signal) this.#draw(store);
    else if (signal === 'exported') download(detail);
    // After what the person did failed, the focus goes to where it says why.
    else if (signal === 'refused') this.#root.querySelector<HTMLElement>('#summary, #notice')?.focus();
    else this.dispatchEvent(new CustomEvent(`preference-center-${signal}`, { detail, bubbles: true, composed: true }));
  }

  #draw(store: Store): void {
    if (this.#served) {
      if (!store.document) return;
      this.#root.replaceChildren();
      this.#served = false;
    }
    const focused = this.#root.activeElement;
    const section = focused?.closest('section');
    render(<App store={store} />, this.#root);
    // A button that its own action removed must not take the focus with it.
    if (focused && !focused.isConnected)
      (
        section?.querySelector<HTMLElement>('button:enabled') ?? this.#root.querySelector<HTMLElement>('[part=save]')
      )?.focus();
    const { busy: saving, offline, phase, outcome } = store;
    const states = { dirty: this.dirty, saving, saved: outcome?.saved, offline, expired: phase === 'expired' };
    for (const [name, on] of Object.entries(states)) this.#internals.states[on ? 'add' : 'delete'](name);
    (this.dirty ? addEventListener : removeEventListener)('beforeunload', beforeUnload);
  }

  /** A sheet belongs to one document, and the element may have moved to another; it lost its sheets then. */
  #style(): void {
    if (this.#root.adoptedStyleSheets.length) return;
    const { ownerDocument } = this;
    const view = ownerDocument === document ? window : (ownerDocument.defaultView ?? window);
    const sheet = new view.CSSStyleSheet();
    sheet.replaceSync(css);
    this.#root.adoptedStyleSheets = [sheet];
  }
}

function closestLanguage(element: Element): string {
  for (let at: Element | undefined = element; at; at = (at.getRootNode() as ShadowRoot).host) {
    const found = at.closest('[lang]');
    if (found) return found.getAttribute('lang') ?? '';
  }
  return '';
}

/** Only while there is something to lose: a page with this listener is not kept for the way back. */
function beforeUnload(event: Event): void {
  event.preventDefault();
}

function download(data: unknown): void {
  const link = Document.prototype.createElement.call(document, 'a') as HTMLAnchorElement;
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
  link.download = 'preferences.json';
  link.click();
  URL.revokeObjectURL(link.href);
}
