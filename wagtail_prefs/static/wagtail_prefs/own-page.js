/**
 * The element on a page of our own: it takes over from the form once it shows this person's choices (design.md s9, flow
 * b). The form is there first, and stays wherever anything is missing, refused or late, or somebody has begun to use it.
 */
const place = document.getElementById('pc-element');
const form = place.previousElementSibling;
const { code, src, locale, script } = place.dataset;
const center = new URL(src, location.href).href;

/**
 * The tab keeps no session of this page, which gets another one whenever it is opened: the last link in this tab may have
 * been somebody else's, and the next page in it is one of the site's own, with scripts of others.
 */
function forget() {
  try {
    sessionStorage.removeItem(`preference-center ${center}`);
  } catch {
    // Storage is blocked, so there is nothing in it.
  }
}

let touched = false;
const touch = () => {
  touched = true;
};
for (const name of ['pointerdown', 'keydown', 'input', 'submit'])
  addEventListener(name, touch, { capture: true, once: true });

/** Whether somebody has begun to use the form, also before this script was there to hear it. */
function begun() {
  return (
    touched ||
    form.contains(document.activeElement) ||
    [...form.querySelectorAll('input, select, textarea')].some(differs)
  );
}

/** Whether a field is not as it was drawn. */
function differs({ options, selectedIndex, checked, defaultChecked, value, defaultValue }) {
  if (options)
    return (
      selectedIndex !==
      Math.max(
        [...options].findIndex((one) => one.defaultSelected),
        0,
      )
    );
  return checked !== defaultChecked || value !== defaultValue;
}

/** Puts the element where nobody sees it yet; resolves to whether it shows choices that can be changed. */
function drawn() {
  return new Promise((done) => {
    const element = document.createElement('preference-center');
    element.setAttribute('src', src);
    element.setAttribute('locale', locale);
    element.addEventListener('preference-center-failed', () => done(false));
    element.addEventListener('preference-center-loaded', ({ detail }) =>
      done(detail.phase === 'open' && !!element.shadowRoot.querySelector('input, select, textarea, button')),
    );
    forget();
    // The element takes the code out of the address again, in the same breath.
    history.replaceState(history.state, '', `#pc=${code}`);
    place.firstElementChild.append(element);
  });
}

/** After the form was painted: until then, nothing may compete with it for the line. A tab behind others paints nothing. */
function painted() {
  return new Promise((done) => {
    if (document.hidden || !PerformanceObserver.supportedEntryTypes.includes('paint')) done();
    else new PerformanceObserver(done).observe({ type: 'paint', buffered: true });
  });
}

async function takeOver() {
  await painted();
  await import(script);
  if (begun() || !(await drawn()) || begun()) return false;
  form.remove();
  place.hidden = false;
  addEventListener('pagehide', forget);
  return true;
}

takeOver()
  .catch(() => false)
  .then((taken) => {
    if (!taken) place.remove();
    forget();
  });
