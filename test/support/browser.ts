/** The browser of this machine for tests of the admin page, by playwright-core, which downloads none. */
import fs from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((file) =>
  fs.existsSync(file),
);

/** Why tests that need one are skipped; false: there is one. */
export const noBrowser = executablePath === undefined && 'chromium is not installed (apt-get install chromium)';

export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
}
