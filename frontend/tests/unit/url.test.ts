import { describe, expect, test } from 'vitest';
import { safeUrl, safeWebUrl } from '../../src/url.ts';

const BASE = 'https://brand.example/en/';

describe('an address', () => {
  test.each([
    ['https://a.example/x', 'https://a.example/x'],
    ['mailto:a@b.example', 'mailto:a@b.example'],
    ['tel:+491234', 'tel:+491234'],
    ['/privacy/', 'https://brand.example/privacy/'],
  ])('%s is good', (href, url) => expect(safeUrl(href, BASE)).toBe(url));

  test.each([
    'javascript:alert(1)',
    ' java\nscript:alert(1)',
    'JAVASCRIPT:alert(1)',
    'data:text/html,x',
    'vbscript:x',
    'blob:https://a.example/1',
    'file:///etc/passwd',
    'https://',
  ])('%j is refused', (href) => expect(safeUrl(href, BASE)).toBeUndefined());

  test('of a picture or page is a web address', () => {
    expect(safeWebUrl('mailto:a@b.example', BASE)).toBeUndefined();
    expect(safeWebUrl('https://a.example/', BASE)).toBe('https://a.example/');
  });
});
