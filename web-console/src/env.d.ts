/// <reference types="vite/client" />

declare module 'virtual:nuxt-ui-icons' {
  /** Hands over every icon that the build has found in use. */
  export function init(add: (name: string, icon: { body: string; width?: number; height?: number }) => void): void
}
