/** What makes elements. All text goes into the page as text: a key that looks like HTML stays a key. */
import { h, render } from 'preact';
import htm from 'htm';

export const html = htm.bind(h);
export { render };
