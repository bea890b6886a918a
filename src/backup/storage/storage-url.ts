/** `backup.url`, taken apart. */
import { fileURLToPath } from 'node:url';

export type StorageUrl =
  | { readonly kind: 'file'; readonly directory: string }
  | { readonly kind: 's3'; readonly bucket: string; readonly prefix: string };

/** @returns the parts, or in one sentence what is wrong with it */
export function parseStorageUrl(text: string): StorageUrl | string {
  const expected = 'expected s3://BUCKET/PREFIX or file:///DIRECTORY';
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return expected;
  }
  if (url.username !== '' || url.password !== '')
    return 'there are credentials in the URL, which logs would show; expected s3.access_key_id and s3.secret_access_key_file';
  if (url.search !== '' || url.hash !== '') return `${expected}, without ? and #`;
  if (url.protocol === 'file:') {
    if (url.hostname !== '' || url.pathname === '/') return `${expected}: an absolute path, and not the root`;
    return { kind: 'file', directory: fileURLToPath(url) };
  }
  if (url.protocol !== 's3:' || url.hostname === '' || url.port !== '') return expected;
  const prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, '');
  return { kind: 's3', bucket: url.hostname, prefix };
}
