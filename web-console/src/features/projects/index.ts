import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const projects = defineFeature({
  name: 'projects',
  routes: [
    {
      path: '/projects',
      name: 'projects',
      component: () => import('./ProjectList.vue'),
      meta: { right: 'project_read', title: 'projects.title' },
    },
    {
      path: '/projects/:slug',
      name: 'project',
      props: true,
      component: () => import('./ProjectDetail.vue'),
      meta: { right: 'project_read', title: 'projects.one' },
    },
  ],
  navigation: [{ to: '/projects', icon: 'i-lucide-folder-kanban', group: 'setup', letter: 'p', right: 'project_read' }],
  texts: { en, ru },
})
