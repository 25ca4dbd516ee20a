import { defineConfig } from '@playwright/test'
import { chromium } from './e2e/chromium'

/** One product, one browser; the tests take turns, since they look at the same jobs and runs. */
export default defineConfig({
  testDir: 'e2e',
  outputDir: 'dist/e2e/results',
  globalSetup: './e2e/setup.ts',
  workers: 1,
  // A second go for what a busy machine was too slow for; the report still names it as flaky.
  retries: 1,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  reporter: [['list']],
  forbidOnly: true,
  projects: [
    { name: 'console', testMatch: '*.spec.ts', testIgnore: 'fuzz.spec.ts' },
    // Last, for it changes whatever it can.
    { name: 'api', testMatch: 'fuzz.spec.ts' },
  ],
  use: {
    locale: 'en-US',
    timezoneId: 'UTC',
    viewport: { width: 1360, height: 850 },
    actionTimeout: 20_000,
    navigationTimeout: 30_000,
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: chromium(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
})
