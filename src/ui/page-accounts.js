import { adminPath } from './api.js';
import { html } from './html.js';
import { Card, Loaded, Pager } from './parts.js';
import { go, useCall } from './store.js';
import { AccountTable } from './page-overview.js';

export function AccountsPage({ query }) {
  const { after } = query;
  const list = useCall(adminPath('accounts', { after, limit: 100 }), { everyMs: 5000 });
  return html`<${Card} title="Accounts" tools=${html`<span class="muted small">shorter names first</span>`}>
    <${Loaded} call=${list}>${({ Accounts, More, After }) => html`<${AccountTable} rows=${Accounts} />
      <${Pager} more=${More} isFirst=${after === undefined} onNext=${() => go('accounts', { after: After })} onFirst=${() => go('accounts')} />`}</${Loaded}>
  </${Card}>`;
}
