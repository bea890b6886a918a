/** Line icons, drawn here: the page asks no other host for anything. */
import { html } from './html.js';

const paths = {
  overview: 'M4 13h6V4H4zM14 20h6v-9h-6zM4 20h6v-4H4zM14 8h6V4h-6z',
  accounts:
    'M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8M2.5 20.5c.6-3.6 3.2-5.5 6.5-5.5s5.900 1.900 6.500 5.500M16.500 3.400a4 4 0 0 1 0 7.200M18.500 15.300c1.600.9 2.700 2.600 3 5.200',
  keys: 'M14.500 9.500a5 5 0 1 0-4.200 4.900L12 16h2v2h2v2h4v-3.500l-5.800-5.800c.2-.4.3-.8.3-1.200M8 8.500h.01',
  locks: 'M7 11V8a5 5 0 0 1 10 0v3M5 11h14v9H5zM12 14.500v2.500',
  queues: 'M4 6h16M4 12h16M4 18h10',
  tasks: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M12 7v5l3.500 2',
  scripts: 'M8 7l-5 5 5 5M16 7l5 5-5 5M13.500 4l-3 16',
  watches: 'M2 12s3.600-6.500 10-6.500S22 12 22 12s-3.600 6.500-10 6.500S2 12 2 12M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6',
  traffic: 'M4 20V11M9.300 20V5M14.700 20v-7M20 20V8',
  slow: 'M12 21a8 8 0 1 0 0-16 8 8 0 0 0 0 16M12 9v4l2.500 2M9 2h6',
  backups:
    'M12 3c4.400 0 8 1.300 8 3s-3.600 3-8 3-8-1.300-8-3 3.600-3 8-3M4 6v12c0 1.700 3.600 3 8 3s8-1.300 8-3V6M4 12c0 1.700 3.600 3 8 3s8-1.300 8-3',
  audit: 'M7 3h8l4 4v14H7zM14 3v5h5M10 13h6M10 17h4',
  server: 'M4 4h16v7H4zM4 13h16v7H4zM8 7.500h.01M8 16.500h.01',
  more: 'M5 12h.01M12 12h.01M19 12h.01',
  folder: 'M3 6h6l2 2h10v11H3z',
  file: 'M7 3h7l4 4v14H7z',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 2v2M12 20v2M4.900 4.900l1.400 1.400M17.700 17.700l1.400 1.400M2 12h2M20 12h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500',
  pause: 'M8 5v14M16 5v14',
  play: 'M7 4.500v15l12-7.500z',
  help: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 16.500h.01',
  out: 'M10 4H4v16h6M14 8l4 4-4 4M18 12H9',
  warn: 'M12 3.500 2.500 20h19zM12 10v4.500M12 17.300h.01',
  refresh: 'M20 11a8 8 0 1 0-.6 4M20 4v7h-7',
  close: 'M5 5l14 14M19 5 5 19',
};

export function Icon({ name, className = 'icon' }) {
  return html`<svg class=${className} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8"
    stroke-linecap=${name === 'more' ? 'round' : 'round'} stroke-linejoin="round" aria-hidden="true">
    <path d=${paths[name] ?? paths.file} stroke-width=${name === 'more' ? 3 : 1.8} />
  </svg>`;
}
