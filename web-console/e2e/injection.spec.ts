/** Whoever writes an issue, a label, a log or a name writes what staff look at. All of it stays text. */
import type { Page } from '@playwright/test'
import { expect, settled, test } from './console'
import { product, until } from './product'

const IMG = '<img src=x onerror="window.__xss=1">'
const PROBE = `${IMG}<script>window.__xss=1</script>`
const SVG = `"><svg onload=window.__xss=1>`

async function isInert(page: Page, where: string): Promise<void> {
  expect(await page.evaluate(() => (window as unknown as { __xss?: unknown }).__xss), where).toBeUndefined()
  expect(await page.locator('a[href^="javascript:" i], img[src="x"], svg[onload]').count(), where).toBe(0)
}

test('what strangers write stays text', async ({ as }) => {
  test.setTimeout(240_000)
  // Title and label of an issue, a comment, the name of who did it: whatever a payload holds.
  const labelled = await product.label('acme/billing', 28, 'run:dev', PROBE)
  await product.label('acme/storefront', 29, SVG, PROBE)
  const commented = await product.tell('issue_comment', {
    action: 'created',
    comment: { body: PROBE, user: { login: IMG } },
    issue: { number: 1, title: PROBE, labels: [{ name: SVG }] },
    sender: { login: IMG, type: 'User' },
  })
  // A job's arguments, tags and keys, and an error that repeats them.
  const tags = ['--tag', SVG, '--tenant', IMG, '--key', IMG, '--correlation-id', PROBE]
  const { id: dead } = await product.queue<{ id: number }>('enqueue', 'issue.comment', JSON.stringify({ [PROBE]: PROBE }), '--queue', 'runs', '--max-attempts', '1', ...tags)
  await until('it is dead', 30, async () => (await product.api<{ state: string }>(`jobs/${dead}`)).state === 'dead')
  // Names that people give: of a person, a project, a token's, a reason in the audit.
  await product.api('users', 'POST', { email: '<img/src=x/onerror=window.__xss=1>@example.com' })
  await product.api('projects', 'POST', { slug: 'e2e-probe', title: PROBE, slots: 0 })
  await product.queue('pause', 'runs', '--tenant', IMG, '--reason', PROBE)
  const run = await product.run(({ issue, repository }) => issue === 28 && repository === 'acme/billing')

  const page = await as('olga', '/jobs')
  try {
    const seen: [path: string, text: string][] = [
      [`/jobs/${dead}`, PROBE],
      [`/jobs?tag=${encodeURIComponent(SVG)}`, String(dead)],
      [`/deliveries/${labelled}`, 'window.__xss'],
      [`/deliveries/${commented}`, 'window.__xss'],
      [`/deliveries`, IMG],
      [`/runs/${run.id}`, '<script>window.__xss = "log"</script>'],
      ['/people', '<img/src=x/onerror'],
      ['/projects', PROBE],
      ['/projects/e2e-probe', PROBE],
      ['/queues', `Tenant ${IMG}`],
      ['/audit', PROBE],
    ]
    for (const [path, text] of seen) {
      await page.goto(path)
      await settled(page)
      await expect(page.getByText(text).first(), `${path} shows it`).toBeVisible({ timeout: 20_000 })
      await isInert(page, path)
    }
    await page.getByRole('row').filter({ hasText: PROBE }).first().getByRole('button').click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await isInert(page, 'a change whole')
    await page.keyboard.press('Escape')
    // Sent back by the page itself: in the address, in a filter, in the palette, in a log that is searched.
    await page.goto(`/jobs?queue=${encodeURIComponent(PROBE)}&kind=${encodeURIComponent(SVG)}#${encodeURIComponent(PROBE)}`)
    await expect(page.getByText('No jobs here')).toBeVisible()
    await page.keyboard.press('Control+k')
    await page.getByRole('dialog').locator('input').fill(IMG)
    await expect(page.getByRole('dialog').locator('input')).toHaveValue(IMG)
    await isInert(page, 'the palette')
    await page.goto(`/runs/${run.id}`)
    await page.getByRole('searchbox', { name: /Search the log/ }).fill('<img src=x')
    await expect(page.locator('mark').first()).toHaveText('<img src=x')
    await isInert(page, 'a log that is searched')
    await page.goto(`/${PROBE}`)
    await expect(page.getByText('This page does not exist')).toBeVisible()
    await isInert(page, 'an address')
  } finally {
    await product.queue('resume', 'runs', '--tenant', IMG)
  }
})

test.describe('planted past Vue', () => {
  test.use({ tolerated: /Content Security Policy|TrustedHTML|Trusted Type/ })
  test('the policy of the page refuses what would get through', async ({ page }) => {
    const answer = await page.goto('/')
    const policy = (await answer?.headerValue('content-security-policy')) ?? ''
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    await expect(page.getByRole('link', { name: 'Sign in' })).toBeVisible()
    // Planted past Vue: not even then is a script run, a style applied, or anything sent elsewhere.
    const refused = await page.evaluate(async () => {
      const seen: string[] = []
      document.addEventListener('securitypolicyviolation', (event) => {
        event.stopImmediatePropagation()
        seen.push(event.effectiveDirective)
      }, { capture: true })
      const html = () => (document.body.innerHTML = '<p>')
      try {
        html()
      } catch {
        seen.push('trusted types')
      }
      const style = document.createElement('style')
      style.textContent = '#app { display: none }'
      document.head.append(style)
      document.body.setAttribute('style', 'display: none')
      await fetch('https://example.invalid/').catch(() => {})
      await new Promise((done) => setTimeout(done, 100))
      return seen
    })
    expect(refused).toEqual(expect.arrayContaining(['trusted types', 'style-src-elem', 'style-src-attr', 'connect-src']))
  })
})
