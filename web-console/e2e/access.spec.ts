import { expect, row, test } from './console'
import { product } from './product'

interface Person {
  id: number
  email: string
}

async function person(name: string): Promise<Person> {
  const { items } = await product.api<{ items: Person[] }>('users?limit=200')
  const found = items.find(({ email }) => email === `${name}@example.com`)
  if (!found) throw new Error(`nobody is called ${name}`)
  return found
}

const ENDED = { name: 'Your session has ended' }

test('whom nobody has invited stays outside', async ({ page }) => {
  await page.goto('/')
  await page.getByRole('link', { name: 'Sign in' }).click()
  const answer = page.waitForResponse((response) => response.url().includes('/auth/github/callback'))
  await page.getByRole('button', { name: /^eve\b/ }).click()
  expect((await answer).status()).toBe(403)
})

test('people see what they may, and are told what they lack', async ({ as }) => {
  const page = await as('rita', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await expect(page.getByText('acme/billing')).toHaveCount(0)
  await expect(page.getByRole('navigation').getByRole('link', { name: /People|Audit|System|Settings/ })).toHaveCount(0)
  await expect(page.getByRole('button', { name: 'Change many' })).toHaveCount(0)
  await page.getByRole('row').nth(1).getByRole('link').click()
  await expect(page.getByRole('heading', { name: /^Job/ })).toBeVisible()
  await expect(page.getByRole('button', { name: /^(Retry|Cancel|Delete)$/ })).toHaveCount(0)

  const asked: string[] = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  await page.goto('/people')
  await expect(page.getByText('You lack the right for this')).toBeVisible()
  await expect(page.getByText(/needs the right “platform_admin”/)).toBeVisible()
  expect(asked, 'nothing is asked that would be refused').not.toContain('/api/v1/staff/users')
  const { items } = await product.api<{ items: { id: number; repository: string }[] }>('runs?limit=100')
  const foreign = items.find(({ repository }) => repository === 'acme/billing')
  await page.goto(`/runs/${foreign?.id}`)
  await expect(page.getByRole('alert').filter({ hasText: 'There is no such thing' })).toBeVisible()
})

test('a right that is taken away stops working in an open page, with the next request', async ({ as }) => {
  const { id } = await person('walt')
  const page = await as('walt', '/projects/telemetry')
  const dialog = page.getByRole('dialog')
  await page.getByRole('button', { name: 'Edit', exact: true }).click()
  await dialog.getByLabel(/^Title/).fill('Taken over')
  await product.api(`projects/telemetry/members/${id}`, 'DELETE')
  try {
    await dialog.getByRole('button', { name: 'Edit', exact: true }).click()
    await expect(dialog.getByRole('alert')).toContainText(/You lack the right|There is no such thing/)
    const { title } = await product.api<{ title: string | null }>('projects/telemetry')
    expect(title).not.toBe('Taken over')
    await dialog.getByRole('button', { name: 'Back' }).click()
    await page.getByRole('navigation').getByRole('link', { name: 'Projects' }).click()
    await expect(row(page, 'demo')).toBeVisible()
    await expect(page.getByRole('row').filter({ hasText: 'telemetry' })).toHaveCount(0)
  } finally {
    await product.api(`projects/telemetry/members/${id}`, 'PUT', { role: 'admin' })
  }
})

test('who is kept out meets the sign-in with the next request, without losing the page', async ({ as }) => {
  const { id } = await person('walt')
  const page = await as('walt', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  await product.api(`users/${id}/active`, 'PUT', { active: false })
  try {
    await page.getByRole('searchbox', { name: 'Kind' }).fill('run.start')
    await expect(page.getByRole('dialog', ENDED)).toBeVisible()
    await expect(page.getByRole('dialog', ENDED).getByRole('link', { name: 'Sign in' })).toBeFocused()
    await expect(page).toHaveURL(/kind=run\.start/)
  } finally {
    await product.api(`users/${id}/active`, 'PUT', { active: true })
  }
})

test('a stolen refresh token ends the session of thief and owner, calmly', async ({ as }) => {
  const page = await as('lea', '/jobs')
  await expect(page.getByRole('row').nth(1)).toBeVisible()
  const cookies = await page.context().cookies(`${product.state.url}/api/v1/auth/refresh`)
  const refresh = (cookie: string) =>
    fetch(`${product.state.url}/api/v1/auth/refresh`, { method: 'POST', headers: { cookie, origin: product.state.url } })
  const stolen = cookies.filter(({ name }) => name.includes('refresh')).map(({ name, value }) => `${name}=${value}`).join()
  // The thief is quicker than the owner.
  const taken = await refresh(stolen)
  expect(taken.status).toBe(200)
  const { access_token: loot } = (await taken.json()) as { access_token: string }
  const next = (taken.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

  await page.reload()
  await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible()
  await expect(page.getByRole('alert')).toHaveCount(0)
  // What was stolen is worth nothing from the owner's request on.
  const mine = await fetch(`${product.state.url}/api/v1/staff/me`, { headers: { authorization: `Bearer ${loot}` } })
  expect(mine.status).toBe(401)
  expect((await refresh(next)).status).toBe(401)

  await page.getByRole('link', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: /^lea\b/ }).click()
  await expect(page).toHaveURL(/\/jobs$/)
  await expect(page.getByRole('row').nth(1)).toBeVisible()
})

test('signing out ends every tab', async ({ as }) => {
  const page = await as('rita', '/jobs')
  const tab = await page.context().newPage()
  await tab.goto('/runs')
  await expect(tab.getByRole('navigation').first()).toBeVisible()
  await page.getByRole('button', { name: /^Menu of/ }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  for (const one of [page, tab]) {
    await expect(one.getByRole('link', { name: 'Sign in' })).toBeVisible()
    await expect(one.getByRole('row')).toHaveCount(0)
  }
})

test('a program is logged in by its code, and only once', async ({ as }) => {
  const begun = await fetch(`${product.state.url}/api/v1/auth/device`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: '<img src=x onerror=alert(1)>', scopes: ['read'], days: 7 }),
  })
  const { user_code: code, device_code: device } = (await begun.json()) as { user_code: string; device_code: string }
  const page = await as('adam', '/device')
  await page.getByLabel('Code').fill(code.toLowerCase())
  await page.getByRole('button', { name: 'Look' }).click()
  await expect(page.getByText('<img src=x onerror=alert(1)>')).toBeVisible()
  await expect(page.getByText(/Confirm only if you started/)).toBeVisible()
  await page.getByRole('button', { name: 'Confirm, it is mine' }).click()
  await expect(page.getByText('The program is logged in')).toBeVisible()
  const collect = () =>
    fetch(`${product.state.url}/api/v1/auth/device/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ device_code: device }),
    })
  expect(((await (await collect()).json()) as { owner: string }).owner).toBe('adam@example.com')
  expect((await collect()).status).toBe(400)
  await page.goto(`/device?code=${code}`)
  await expect(page.getByRole('alert')).toContainText('mistyped, used or too old')
})
