import { describe, expect, test } from 'vitest';
import { forNewcomers, holds, isEmpty, isMasked, leavesOf, nest, read, rowsOf, same } from '../../src/state/answers.ts';
import { center, prefs } from '../center.ts';

describe('what somebody new is shown', () => {
  const block = (id: string, more: object) => ({ id, type: 'x', controls: [], ...more });
  const control = (type: string, more = {}) => ({ type, name: type, label: '', ...more });
  const ids = (...blocks: object[]) =>
    forNewcomers({ ...center, blocks } as never).blocks.map(({ id, controls }) => [
      id,
      controls.map((one) => one.name),
    ]);

  test('are no blocks about somebody who is known, nor buttons and records', () => {
    expect(
      ids(
        block('text', {}),
        block('leave', { of_contact: true, controls: [control('toggle')] }),
        block('profile', { controls: [control('text'), control('date', { of_contact: true }), control('action')] }),
        block('history', { controls: [control('records')] }),
      ),
    ).toEqual([
      ['text', []],
      ['profile', ['text']],
    ]);
  });

  test('is everything else, and the document stays as it was', () => {
    const before = structuredClone(center);
    expect(forNewcomers(center).blocks.map(({ id }) => id)).toEqual([
      'intro',
      'topics',
      'often',
      'profile',
      'devices',
      'more',
    ]);
    expect(center).toEqual(before);
  });
});

describe('an answer at a path', () => {
  test('is found however deep', () => {
    expect(read({ a: { b: { c: true } } }, 'a.b.c')).toBe(true);
    expect(read({ a: { b: ['x'] } }, 'a.b')).toEqual(['x']);
  });

  test('is absent where the path is not held', () => {
    expect(read({}, 'a.b')).toBeUndefined();
    expect(read({ a: null }, 'a.b')).toBeUndefined();
    expect(read({ a: true }, 'a.b')).toBeUndefined();
  });

  test('is never found on a prototype', () => {
    expect(read({}, 'constructor')).toBeUndefined();
    expect(read({ a: {} }, 'a.__proto__')).toBeUndefined();
    expect(read({ a: 'text' }, 'a.length.x')).toBeUndefined();
  });
});

describe('a difference becomes a body', () => {
  test('of nested objects', () => {
    const body = nest([
      ['one.choices.news.email', true],
      ['one.choices.news.sms', false],
      ['two.name', 'Sam'],
    ]);
    expect(JSON.parse(JSON.stringify(body))).toEqual({
      one: { choices: { news: { email: true, sms: false } } },
      two: { name: 'Sam' },
    });
  });

  test('and a key cannot reach a prototype', () => {
    nest([['__proto__.polluted', true]]);
    nest([['one.constructor.prototype.polluted', true]]);
    expect('polluted' in {}).toBe(false);
  });
});

describe('two answers are the same', () => {
  test.each([
    [undefined, false],
    [undefined, ''],
    [undefined, []],
    [null, undefined],
    [
      ['a', 'b'],
      ['b', 'a'],
    ],
    [7, 7],
  ])('%j and %j', (a, b) => expect(same(a, b)).toBe(true));

  test.each([
    [undefined, true],
    [['a'], ['b']],
    [['a'], ['a', 'b']],
    [0, undefined],
    ['x', 'y'],
  ])('but not %j and %j', (a, b) => expect(same(a, b)).toBe(false));

  test('and zero is an answer', () => expect(isEmpty(0)).toBe(false));
});

describe('a condition', () => {
  const when = (rule: object) => ({ block: 'b', control: 'c', ...rule }) as Parameters<typeof holds>[0];

  test('holds when the answer is among those named', () => {
    expect(holds(when({ in: ['trade', 'press'] }), 'press')).toBe(true);
    expect(holds(when({ in: ['trade'] }), 'private')).toBe(false);
    expect(holds(when({ not_in: [true] }), false)).toBe(true);
    expect(holds(when({ not_in: [true] }), true)).toBe(false);
  });

  test('takes what is absent for null', () => {
    expect(holds(when({ in: [null] }), undefined)).toBe(true);
    expect(holds(when({ in: [true] }), undefined)).toBe(false);
    expect(holds(when({ not_in: [true] }), undefined)).toBe(true);
  });

  test('holds for a list when one member is named', () => {
    expect(holds(when({ in: ['wood'] }), ['metal', 'wood'])).toBe(true);
    expect(holds(when({ not_in: ['wood'] }), ['metal', 'wood'])).toBe(false);
    expect(holds(when({ in: ['wood'] }), [])).toBe(false);
  });
});

describe('what can be answered', () => {
  const leaves = leavesOf(center, prefs);

  test('is each cell of a table that its row offers', () => {
    expect(leaves.has('topics.choices.news.push')).toBe(true);
    expect(leaves.has('topics.choices.events.sms')).toBe(true);
    expect(leaves.has('topics.choices.events.push')).toBe(false);
  });

  test('is one answer for each row of a list', () => {
    expect(leaves.get('often.frequency.all')?.options).toHaveLength(4);
    expect(leaves.has('devices.alerts.price')).toBe(true);
  });

  test('is not what is locked', () => {
    expect(leaves.has('topics.choices.orders.email')).toBe(false);
    expect(leaves.has('profile.terms')).toBe(false);
  });

  test('is personal data only after a fresh link', () => {
    expect(leaves.has('profile.email')).toBe(false);
    expect(leavesOf(center, { ...prefs, assurance: 'fresh' }).has('profile.email')).toBe(true);
    const email = center.blocks.flatMap((block) => block.controls).find((control) => control.name === 'email');
    expect(email && isMasked(email, prefs)).toBe(true);
  });

  test('is also what only this person sees', () => {
    expect(leaves.get('topics.choices.vip.email')?.label).toBe('Friends of the house, E-mail');
    const matrix = center.blocks[1]?.controls[0];
    expect(matrix?.type === 'matrix' && rowsOf('topics', matrix, null)).toHaveLength(6);
  });

  test('is no text, link or button', () => {
    for (const path of ['more.links', 'more.picture', 'more.holo', 'leave.leave']) expect(leaves.has(path)).toBe(false);
  });
});
