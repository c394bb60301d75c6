import type { Block, CenterDocument } from './api/types.ts';
import { AnyControl } from './controls/index.tsx';
import { RichText } from './rich-text.tsx';
import type { View } from './view.ts';

/** The whole view as a function of the store's state; the element draws it again after each change. */
export function App({ view }: { view: View }) {
  const { document } = view.store.state;
  return (
    <div class="center" lang={document?.locale} dir={document?.direction}>
      {/* Until the document is there, and when it never comes, the host page's own children show. */}
      {document ? <Form document={document} view={view} /> : <slot />}
      <Foot view={view} />
    </div>
  );
}

function Form({ document, view }: { document: CenterDocument; view: View }) {
  return (
    <form
      id="form"
      part="form"
      lang={document.locale}
      dir={document.direction}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        view.save();
      }}
    >
      <header>
        <h2 part="heading">{document.title}</h2>
        <SignedInAs view={view} />
      </header>
      <Notice view={view} />
      <Summary view={view} />
      <Outlook view={view} />
      {document.blocks.map((block) => (
        <Section key={block.id} block={block} view={view} />
      ))}
      <Result view={view} />
    </form>
  );
}

function SignedInAs({ view: { store } }: { view: View }) {
  const email = store.state.preferences?.contact.email;
  const [before, after] = store.label('signed_in_as').split('{email}');
  return email && after !== undefined ? (
    <p class="help">
      {before}
      <bdi>{email}</bdi>
      {after}
    </p>
  ) : null;
}

/** Why nothing can be changed now, and what to do about it. */
function Notice({ view }: { view: View }) {
  const { store } = view;
  const { phase } = store.state;
  if (phase === 'open' || phase === 'loading') return null;
  const label = store.label.bind(store);
  const link = label('request_link');
  return (
    <div id="notice" part="notice" class="notice" tabIndex={-1}>
      {phase === 'expired' && <p class="name">{label('expired_title')}</p>}
      <p>{label(phase === 'expired' ? 'expired_text' : phase === 'closed' ? 'open_link' : 'load_failed')}</p>
      {phase === 'failed' ? (
        <button type="button" class="button" onClick={() => view.retry()}>
          {label('retry')}
        </button>
      ) : (
        link && (
          <a class="button" href={view.pageUrl}>
            {link}
          </a>
        )
      )}
    </div>
  );
}

/** What is wrong, with links to where. The alert is an inner node: JAWS skips an alert that has the focus itself. */
function Summary({ view }: { view: View }) {
  const { store } = view;
  const { errors } = store.state;
  if (!errors.size) return null;
  return (
    <div id="summary" part="summary" class="notice bad" tabIndex={-1}>
      <div role="alert">
        <h3>{store.label('error_title')}</h3>
        <ul>
          {[...errors].map(([path, messages]) => {
            const name = store.nameOf(path);
            const text = `${name && `${name}: `}${messages.join(' ')}`;
            return (
              <li key={path}>
                {name ? (
                  <a
                    href={`#${path}`}
                    onClick={(event) => {
                      event.preventDefault();
                      view.goTo(path);
                    }}
                  >
                    {text}
                  </a>
                ) : (
                  text
                )}
              </li>
            );
          })}
        </ul>
      </div>
    </div>
  );
}

/** What the choices amount to. */
function Outlook({ view: { store } }: { view: View }) {
  const outlook = store.state.preferences?.outlook ?? [];
  if (!outlook.length) return null;
  return (
    <div part="notice" class="notice outlook">
      <p class="name">{store.label('outlook_title')}</p>
      <ul>
        {outlook.map(({ text }) => (
          <li key={text}>{text}</li>
        ))}
      </ul>
    </div>
  );
}

function Section({ block, view }: { block: Block; view: View }) {
  const { store } = view;
  if (!store.isShown({ path: block.id })) return null;
  const { id, heading, text } = block;
  const controls = block.controls.filter((one) => store.isShown({ path: `${id}.${one.name}`, when: one.when }));
  if (!heading && !text?.length && !controls.length) return null;
  const headingId = `${id}.heading`;
  return (
    <section part="block" class={`block ${block.type}`} aria-labelledby={heading ? headingId : undefined}>
      {heading && (
        <h3 id={headingId} part="title">
          {heading}
        </h3>
      )}
      {!!text?.length && (
        <div class="text">
          <RichText tree={text} base={view.pageUrl} />
        </div>
      )}
      {controls.map((control) => (
        <AnyControl key={control.name} control={control} block={id} path={`${id}.${control.name}`} view={view} />
      ))}
    </section>
  );
}

/** What the last save did, to be read in peace. */
function Result({ view: { store } }: { view: View }) {
  const { outcome } = store.state;
  if (!outcome?.applied.length && !outcome?.merged.length) return null;
  const list = (lines: typeof outcome.applied) => (
    <ul>
      {lines.map(({ path, text }) => (
        <li key={path}>{text}</li>
      ))}
    </ul>
  );
  return (
    <div part="notice" class="notice">
      {outcome.applied.length > 0 && (
        <>
          <p class="name">{outcome.text}</p>
          {list(outcome.applied)}
        </>
      )}
      {outcome.merged.length > 0 && (
        <>
          <p class="name">{store.label('merged_title')}</p>
          {list(outcome.merged)}
        </>
      )}
    </div>
  );
}

/** The status line, there from the first draw, and the buttons. It stays in sight while there is something to say. */
function Foot({ view }: { view: View }) {
  const { store } = view;
  const { phase, busy, outcome } = store.state;
  const open = phase === 'open';
  const text =
    phase === 'loading'
      ? store.label('loading')
      : !open
        ? ''
        : busy
          ? store.label('saving')
          : (outcome?.text ?? (store.dirty ? store.label('unsaved') : ''));
  return (
    <div class={open && text ? 'foot up' : 'foot'}>
      <div role="status" part="status" class="status">
        {text}
        {open && outcome && (
          <span class="unseen">
            {' '}
            {[...outcome.applied, ...(outcome.merged.length ? [{ text: store.label('merged_title') }] : [])]
              .concat(outcome.merged)
              .map((line) => line.text)
              .join('. ')}
          </span>
        )}
      </div>
      {open && store.canSave && (
        <div part="actions" class="actions">
          {store.dirty && (
            <button type="button" part="discard" class="button" onClick={() => store.discard()}>
              {store.label('discard')}
            </button>
          )}
          <button type="submit" form="form" part="save" class="button primary" aria-disabled={busy || undefined}>
            {store.label('save')}
          </button>
        </div>
      )}
    </div>
  );
}
