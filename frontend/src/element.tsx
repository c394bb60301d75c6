import { render } from 'preact';
import { Client } from './api/client.ts';
import { App } from './app.tsx';
import { safeUrl } from './rich-text.tsx';
import { SessionKeeper, takeCode } from './state/session.ts';
import { type Signal, Store } from './state/store.ts';
import css from './styles/center.css?inline';
import type { View } from './view.ts';

/** Importable where there is no DOM, as in a server render. */
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;

/** One sheet for all elements of a document; a sheet cannot be shared between documents. */
const sheets = new WeakMap<Document, CSSStyleSheet>();

const STATES = ['dirty', 'saving', 'saved', 'offline', 'expired'] as const;

/**
 * A preference center, drawn from the document at `src`.
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
  #view: View | null = null;

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
    return !!this.#store?.dirty;
  }

  connectedCallback(): void {
    this.#style();
    if (!this.#store) this.#start();
  }

  disconnectedCallback(): void {
    // A move in the page is no removal.
    queueMicrotask(() => {
      if (!this.isConnected) this.#stop();
    });
  }

  attributeChangedCallback(_name: string, before: string | null, after: string | null): void {
    if (!this.#store && !this.isConnected) return;
    if (before === after) return;
    this.#stop();
    this.#start();
  }

  #start(): void {
    const { src } = this;
    if (!src) return;
    const client = new Client(src, this.getAttribute('locale') ?? closestLanguage(this));
    const keeper = new SessionKeeper(client.base, () => sessionStorage);
    const store = new Store(client, keeper, (signal, detail) => {
      if (store !== this.#store) return;
      if (signal) this.#tell(signal, detail);
      else this.#draw();
    });
    this.#store = store;
    this.#view = {
      store,
      get enabled() {
        return store.state.phase === 'open';
      },
      get pageUrl() {
        return safeUrl(store.state.document?.page_url, client.base, /^https?:$/) ?? client.base;
      },
      act: (action, block, label, receipt) => {
        if (action !== 'erase' || confirm(label)) this.#after(store.act(action, block, receipt));
      },
      save: () => {
        if (!store.state.busy) this.#after(store.save());
      },
      retry: () => void store.retry(),
      goTo: (path) => {
        const field = this.#root.getElementById(path);
        const target = field?.matches('input, select, textarea')
          ? field
          : field?.querySelector('input, select, textarea');
        (target as HTMLElement | undefined)?.focus();
      },
    };
    addEventListener('hashchange', this.#onHash);
    addEventListener('online', this.#onOnline);
    void store.load(takeCode(location, history));
  }

  #stop(): void {
    this.#store?.stop();
    this.#store = null;
    removeEventListener('hashchange', this.#onHash);
    removeEventListener('online', this.#onOnline);
    removeEventListener('beforeunload', beforeUnload);
  }

  /** The person opened a new link in this very tab. */
  readonly #onHash = () => {
    if (new URLSearchParams(location.hash.slice(1)).has('pc')) void this.#store?.load(takeCode(location, history));
  };

  readonly #onOnline = () => void this.#store?.retry();

  /** After what the person did failed, the focus goes to where it says why. */
  async #after(done: Promise<boolean>): Promise<void> {
    if (await done) return;
    (this.#root.getElementById('summary') ?? this.#root.getElementById('notice'))?.focus();
  }

  #draw(): void {
    const view = this.#view;
    const state = this.#store?.state;
    if (!view || !state) return;
    if (this.#served) {
      if (!state.document) return;
      this.#root.replaceChildren();
      this.#served = false;
    }
    const focused = this.#root.activeElement;
    const section = focused?.closest('section');
    render(<App view={view} />, this.#root);
    // A button that its own action removed must not take the focus with it.
    if (focused && !focused.isConnected) {
      const next = section?.isConnected && section.querySelector<HTMLElement>('button:enabled, input:enabled');
      (next || this.#root.querySelector<HTMLElement>('[part=save]'))?.focus();
    }
    const { busy, offline, phase, outcome } = state;
    const now = { dirty: this.dirty, saving: busy, saved: !!outcome?.saved, offline, expired: phase === 'expired' };
    for (const name of STATES) this.#internals.states[now[name] ? 'add' : 'delete'](name);
    if (this.dirty) addEventListener('beforeunload', beforeUnload);
    else removeEventListener('beforeunload', beforeUnload);
  }

  #tell(signal: Signal, detail: Record<string, unknown> = {}): void {
    if (signal === 'exported') return download(detail);
    this.dispatchEvent(new CustomEvent(`preference-center-${signal}`, { detail, bubbles: true, composed: true }));
  }

  #style(): void {
    const { ownerDocument } = this;
    let sheet = sheets.get(ownerDocument);
    if (!sheet) {
      const view = ownerDocument === document ? window : ownerDocument.defaultView;
      sheet = new (view ?? window).CSSStyleSheet();
      sheet.replaceSync(css);
      sheets.set(ownerDocument, sheet);
    }
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
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }));
  link.download = 'preferences.json';
  link.click();
  URL.revokeObjectURL(link.href);
}
