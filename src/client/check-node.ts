/** Imported first by the entries of the package: on an old Node the import fails with one line. */
import { oldNodeMessage } from './node-version.ts';

const message = oldNodeMessage(process.versions.node);
if (message !== undefined) {
  const error = new Error(message);
  error.stack = message;
  throw error;
}
